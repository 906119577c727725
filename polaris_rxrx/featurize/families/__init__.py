"""The families of CellProfiler's measurements, each computed for all objects of a compartment at once."""

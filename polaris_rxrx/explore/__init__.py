"""A map as one page that one can look around in, and its figures for notebooks."""

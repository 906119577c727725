"""From wells to a map: align on controls, aggregate by perturbation, compare."""

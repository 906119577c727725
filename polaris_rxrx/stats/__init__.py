"""How sure a mean over treatments is: numpy arrays in, numpy arrays and plain numbers out."""

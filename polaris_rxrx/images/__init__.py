"""Microscopy images to arrays: where they stand, what their names say, and what is wrong with them."""

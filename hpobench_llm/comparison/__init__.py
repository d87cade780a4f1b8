"""Comparisons: how trials are judged, and what can be said of the optimizers that made them."""

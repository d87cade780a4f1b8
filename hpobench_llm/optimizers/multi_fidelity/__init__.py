"""Optimizers that train in part, and only the promising in full."""

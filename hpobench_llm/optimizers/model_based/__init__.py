"""Optimizers that fit a model to the trials and ask where it promises most."""

"""Optimizers that vary what survived."""

"""Optimizers that never learn from an outcome."""

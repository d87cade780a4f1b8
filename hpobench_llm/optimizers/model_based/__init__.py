"""Optimizers that fit a model of what was evaluated and ask where it promises most."""

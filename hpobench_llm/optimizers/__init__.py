"""Optimizers behind one ask/tell contract, built by name from the registry."""

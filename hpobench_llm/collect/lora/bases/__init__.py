"""Frozen base models: pretrained by us, or loaded."""

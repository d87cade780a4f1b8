"""Emulators that others have published: their weights as arrays, their problems as benchmarks."""

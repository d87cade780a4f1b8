"""Spaces and benchmarks as other libraries have them; each library is imported in its module."""

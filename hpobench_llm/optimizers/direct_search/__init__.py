"""Direct search on a mesh."""

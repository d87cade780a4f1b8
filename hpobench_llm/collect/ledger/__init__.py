"""Finished runs on disk, and the table that they become."""

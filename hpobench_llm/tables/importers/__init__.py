"""Bring published tuning results in as tables: one module per upstream source, one generic."""

"""Surrogates: regressions fitted on one table, with their held-out quality."""

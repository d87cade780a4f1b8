"""Specs that are proposed for the runs of trackers, for a person to edit: a module each."""

"""What trackers of experiments hold, as a spec for a person to edit: one module each."""

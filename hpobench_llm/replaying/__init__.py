"""Replays: one optimizer on one benchmark until its budget is spent, on a simulated clock."""

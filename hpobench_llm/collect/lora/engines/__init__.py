"""Training: one run after another with peft, or many at once on one base."""

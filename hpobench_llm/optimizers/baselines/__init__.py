"""What people do who do not search: one configuration, or one axis."""

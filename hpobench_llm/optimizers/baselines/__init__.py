"""What people do instead of a search: one configuration, or one axis."""

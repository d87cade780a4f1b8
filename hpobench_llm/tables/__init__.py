"""Tables of measurements: schema, loading with verified sums, sealing, cards."""

"""Pages of one file: what they share, from colours to the plotting library."""

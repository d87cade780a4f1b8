"""Pages of one file: their shared parts, from colours to the plotting library."""

"""What a campaign will cost, from its file alone, and how many runs fit a pack."""

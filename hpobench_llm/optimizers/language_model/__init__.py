"""A language model that is asked for the next configuration; its answers are kept."""

"""Instruction rows: read, split, tokenised, and put into batches."""

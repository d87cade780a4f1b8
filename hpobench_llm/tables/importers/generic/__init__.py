"""Import any CSV, JSONL or Parquet file of tuning results that a spec describes."""

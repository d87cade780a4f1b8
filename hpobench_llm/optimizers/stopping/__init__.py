"""Rules that end a search before its budget is spent."""

"""Methods that begin with the results on related tasks."""

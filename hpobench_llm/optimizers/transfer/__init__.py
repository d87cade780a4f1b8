"""Methods that begin with what is known of related tasks."""

"""Who trains what: this process, several, or a Ray cluster."""

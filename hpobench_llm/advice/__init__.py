"""Which settings to try: what all tables at hand say together, and how far that carries."""

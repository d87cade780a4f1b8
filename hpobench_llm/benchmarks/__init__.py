"""What an optimizer queries: tables, surrogates, live runs and toys behind one interface."""

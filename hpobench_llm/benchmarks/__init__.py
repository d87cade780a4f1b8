"""What an optimizer queries: tables, surrogates and closed-form toys behind one interface."""

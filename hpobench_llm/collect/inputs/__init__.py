"""The data files that shipped campaigns read, and how anyone can make them again."""

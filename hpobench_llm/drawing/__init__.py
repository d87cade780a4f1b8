"""Pictures of what a benchmark answers, on matplotlib's axes and in whatever style is set."""

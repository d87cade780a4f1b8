"""Pictures of a benchmark's answers on matplotlib's axes, in any style that is set."""

"""What a model in memory achieves: losses on rows, and benchmark scores."""

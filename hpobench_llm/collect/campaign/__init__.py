"""What is to be trained: specs, the grid's order, and the tasks it is cut into."""

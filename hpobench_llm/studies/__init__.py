"""Studies: optimizers times benchmarks times seeds, and the folder that they are run into."""

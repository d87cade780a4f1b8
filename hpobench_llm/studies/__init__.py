"""Studies: optimizers times benchmarks times seeds, replayed on a simulated clock."""

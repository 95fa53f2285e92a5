"""Train a run on a compute node."""

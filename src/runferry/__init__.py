"""Train offline on Slurm compute nodes, sync to Weights & Biases, prove what arrived."""

__version__ = "0.1.0"

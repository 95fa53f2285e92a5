"""A real Slurm cluster on one Debian machine, and its users."""

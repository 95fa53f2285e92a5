"""How the runs in some folders are: by state, in Slurm's queue, what is not on the server yet, and what failed."""

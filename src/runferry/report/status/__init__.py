"""Show how the runs in some folders are: by state, in Slurm's queue, what is not on the server yet, what failed."""

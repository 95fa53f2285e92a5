"""Show the status of runs: their states, jobs in Slurm's queue, rows not on the server yet, and failures."""

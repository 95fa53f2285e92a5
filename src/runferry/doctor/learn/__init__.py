"""Draft the file of facts of a cluster that runferry does not know, from what its Slurm says."""

"""Read and write a run's folder: attempts, packs, receipts and state, as the disk and Slurm tell them."""

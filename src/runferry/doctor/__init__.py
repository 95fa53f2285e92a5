"""Compare this login node, and a compute node when asked, with the facts of its cluster; try W&B's server when asked.

Nothing of runferry was ever run on one of the sites: what it knows of them was read. Every check of a node only looks:
nothing is submitted (`sbatch --test-only` does not), sent or changed but a file that is removed again, and each has a
time limit.
"""

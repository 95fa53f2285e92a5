"""Answer the Snakefile: the plan, packs, rounds, and what jobs are told."""

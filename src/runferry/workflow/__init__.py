"""Answer the Snakefile: the plan, packs, rounds, searches, and what jobs are told."""

"""Read W&B's folders, ask its server, run wandb-core, and set up the jobs that log to W&B."""

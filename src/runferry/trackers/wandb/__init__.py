"""Know W&B: its folders, its server, wandb-core and what a job must tell them."""

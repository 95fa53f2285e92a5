"""Read the transaction logs that wandb writes offline."""

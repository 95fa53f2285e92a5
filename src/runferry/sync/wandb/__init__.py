"""Upload and verify runs that log to W&B."""

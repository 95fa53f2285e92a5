"""Upload and verify runs that log to Comet."""

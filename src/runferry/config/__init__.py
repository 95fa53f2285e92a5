"""Turn config.yaml, sweeps and a cluster's facts into experiments, runs and job requests."""

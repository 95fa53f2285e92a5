"""Searches: sweeps whose points an engine (Optuna, Ax, W&B's own) is asked for one by one, as places become free."""

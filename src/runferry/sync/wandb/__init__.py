"""Carry runs that log to W&B."""

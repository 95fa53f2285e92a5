"""Carry runs that log to Comet."""

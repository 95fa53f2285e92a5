"""How the workflow says once what every `runferry sync` of its own shall do."""

SYNC_OPTIONS = "RUNFERRY_SYNC_OPTIONS"
"""A variable with options of `runferry sync` that hold where the command line does not say otherwise."""

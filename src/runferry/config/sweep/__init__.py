"""Read W&B sweep definitions without a server: from `method`, `parameters` and `command` to runs' arguments.

The words and their meaning are W&B's (https://docs.wandb.ai/guides/sweeps). `definition` reads and checks one,
`parameter` and `distributions` know what a parameter can be, `macros` writes out commands. `hyperband` stops runs
early; it is not imported here, nor is anything else that costs time: every job reads the config.
"""

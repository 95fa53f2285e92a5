"""Name the files, trackers and modes that the config and the runs' records share."""

from __future__ import annotations

ENVIRONMENTS = "environments"
"""The folder in results/ that is no experiment's."""

BEST_FILE = "best.json"
"""In the folder of an experiment that another needs: which of its runs is the best."""

SWEEP_FILE = "sweep.json"
"""In the folder of an experiment with a sweep: the definition."""

WANDB, COMET = "wandb", "comet"

OFFLINE, ONLINE = "offline", "online"

SLURM_OPTIONS = ("partition", "constraint", "qos", "reservation", "exclude", "mail")
"""Keys of an experiment's `resources` that are Slurm's options of that name."""

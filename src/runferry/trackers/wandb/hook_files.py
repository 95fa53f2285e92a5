"""Put the hook that names W&B runs where the training's Python loads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.trackers.api_keys import KEY_VARIABLE
from runferry.trackers.wandb.hook import CORE, IDS, RUN_NAME
from runferry.trackers.wandb.hook_start import HOOK, JOB_FILE, RUN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

# The hook gives these by other means.
_NOT_TOLD = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SERVICE")


def write_hook(
    folder: Path, variables: Mapping[str, str], socket: str, service: tuple[str, Path] | None = None
) -> Path:
    """Write the hook and what it must know below a folder of this job's; return the folder for PYTHONPATH.

    Parameters
    ----------
    folder
        Node-local, and gone at the end of the job.
    variables
        Of the command. Those of wandb's are set again where a script, or what starts it, takes them out; the key is
        not among them.
    socket
        Where ids are given out.
    service
        The value of WANDB_SERVICE, and the wandb-core that it stands for; None where that is found by the hook.
    """
    python = folder / "python"
    python.mkdir()
    kept = {name: value for name, value in variables.items() if name.startswith("WANDB_")}
    told = {name: value for name, value in kept.items() if name not in (*_NOT_TOLD, KEY_VARIABLE)}
    told |= {IDS: socket, RUN_ID: kept["WANDB_RUN_ID"], RUN_NAME: kept.get("WANDB_NAME", "")}
    if service:
        told |= {"WANDB_SERVICE": service[0], CORE: str(service[1])}
    (python / JOB_FILE).write_bytes(b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in told.items()))
    for source, name in (("hook_start.py", "sitecustomize.py"), ("hook.py", f"{HOOK}.py")):
        (python / name).write_bytes(Path(__file__).with_name(source).read_bytes())
    return python


def with_hook(variables: Mapping[str, str], python: str) -> dict[str, str]:
    """Return a command's variables with the hook's folder, `python`, before what its PYTHONPATH has."""
    # Not that of a job within which this one is started.
    others = [each for each in variables.get("PYTHONPATH", "").split(os.pathsep) if each and not _is_hook(Path(each))]
    return {**variables, "PYTHONPATH": os.pathsep.join([python, *others])}


def _is_hook(folder: Path) -> bool:
    return (folder / JOB_FILE).is_file() and (folder / "sitecustomize.py").is_file()

"""What of a command only the node can say: variables, paths of files that are written here, results of other runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import LaunchError
from runferry.files import read_json
from runferry.needs import replace_needs

if TYPE_CHECKING:
    from collections.abc import Mapping

# As in runferry.sweep.macros, whose import a job's start need not wait for.
_ARGUMENTS_FILE = "${args_json_file}"


def replace_late_macros(
    run: Mapping[str, Any], folder: Path, variables: Mapping[str, str], node_folder: Path
) -> list[str]:
    """Return a run's command with the macros replaced that stand for something on this node.

    Parameters
    ----------
    run
        The content of `run.json`.
    folder
        Of the run.
    variables
        What `${envvar:NAME}` is taken from; one that is not there is its own name, as W&B's agent has it.
    node_folder
        Node-local; `${args_json_file}` is written there.

    Raises
    ------
    LaunchError
        When a result that the run needs is not there.
    """
    command = list(run["command"])
    for place in run.get("macros", ()):
        from runferry.sweep.macros import ENVIRONMENT_VARIABLE

        if command[place] == _ARGUMENTS_FILE:
            command[place] = str(_write(run, "arguments", run["parameters"], node_folder))
        else:
            command[place] = ENVIRONMENT_VARIABLE.sub(lambda match: variables.get(match[1], match[1]), command[place])
    needs: Mapping[str, str] = run.get("needs", {})
    if not needs:
        return command
    paths = {name: str(_checkpoints(folder, file, name)) for name, file in needs.items()}
    return [replace_needs(argument, lambda name: paths.get(name, f"${{needs:{name}}}")) for argument in command]


def sweep_variables(run: Mapping[str, Any], node_folder: Path) -> dict[str, str]:
    """Give `wandb.config` the run's parameters in the way of W&B's agent: a script need not read its arguments."""
    if not run["parameters"]:
        return {}
    # JSON is YAML, which wandb reads.
    content = {"wandb_version": 1, **{name: {"value": value} for name, value in run["parameters"].items()}}
    return {"WANDB_SWEEP_PARAM_PATH": str(_write(run, "config", content, node_folder))}


def _write(run: Mapping[str, Any], what: str, content: Any, node_folder: Path) -> Path:
    file = node_folder / f"{what}-{run['id']}-{os.getpid()}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def _checkpoints(folder: Path, best_file: str, name: str) -> Path:
    file = Path(os.path.abspath(folder / best_file))  # noqa: PTH100 - no look at the disk
    try:
        best = read_json(file)["run"]
    except (OSError, ValueError, KeyError) as error:
        message = f"needs: found no result of {name} ({file}), expected it to be trained before"
        raise LaunchError(message) from error
    return file.parent / best / "checkpoints"

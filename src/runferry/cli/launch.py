"""Define `runferry launch`: run one run's command in a job, the workflow's or the user's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder
from runferry.system.messages import STARTED_BY, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from runferry.cli.common import Commands

_OF_A_NEW_RUN = ("name", "project", "entity", "environment")


def add_launch(commands: Commands) -> None:
    """Add `launch` to the command line."""
    parser = commands.add_parser(
        "launch",
        help="run one run's command, as a job does",
        usage="runferry launch [options] RUN_FOLDER [-- COMMAND ...]",
        description="Unpack the environment, run the run's command with W&B offline, write the attempt's record. With "
        "COMMAND, after --, the run is made first; without, RUN_FOLDER/run.json says what it is.",
        epilog="Exit code: the command's own; 75 where it was stopped and has more to do: launch it again. With "
        "COMMAND, a run that is trained is not trained again; remove its trained.json for that.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="results/<experiment>/<run>")
    parser.add_argument("--name", metavar="NAME", help="what W&B shows (default: the folder's name)")
    parser.add_argument("--project", metavar="NAME", help="of W&B (default: $WANDB_PROJECT, else uncategorized)")
    parser.add_argument("--entity", metavar="NAME", help="of W&B (default: $WANDB_ENTITY, else your key's own)")
    parser.add_argument(
        "--environment", type=Path, metavar="RECORD", help="what runferry environment has written (default: none)"
    )
    parser.set_defaults(command=_launch)


def split_command(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the words of `launch` at `--`: argparse would take the options of the user's command for ours."""
    typed = list(words)
    # Before a command's name there are options such as --debug only.
    name = next((word for word in typed if not word.startswith("-")), None)
    end = typed.index("--") if name == "launch" and "--" in typed else len(typed)
    return typed[:end], typed[end + 1 :]


def _launch(given: argparse.Namespace) -> int:
    from runferry.launch.launch import launch

    if not given.run_command:
        if unused := [option for option in _OF_A_NEW_RUN if getattr(given, option) is not None]:
            message = (
                f"launch: found --{unused[0]} without a command, expected one: runferry launch RUN_FOLDER -- COMMAND"
            )
            raise ConfigError(message)
        return launch(tell_log(RunFolder(given.folder.resolve())))
    from runferry.config.single_run import make_single_run

    options = {option: getattr(given, option) for option in _OF_A_NEW_RUN}
    folder = make_single_run(given.folder, given.run_command, **options)
    if folder.trained_file.exists():
        say(f"{given.folder}: trained already; remove {folder.trained_file.name} there to train it again")
        return 0
    return launch(tell_log(folder))


def tell_log(folder: RunFolder) -> RunFolder:
    """Print where the log of a run is, where a user has typed the command and not a rule; return the run's folder."""
    if not os.environ.get(STARTED_BY):
        say(f"run {folder.path.name}: the log is {os.path.relpath(folder.log_file)}")
    return folder

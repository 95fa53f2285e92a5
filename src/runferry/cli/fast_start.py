"""Start `runferry`: do what rules ask for often before anything heavy is imported."""

from __future__ import annotations

import os
import sys

from runferry.runs.receipt_stamp import is_settled

# Not even typing's own import, a fifth of what this module costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> int:
    """Run one command and return its exit code (see `runferry.cli.main.main`)."""
    arguments = sys.argv[1:]
    if arguments[:2] == ["sync", "--with-trained"] and _is_settled(arguments[2:]):
        return 0
    if arguments[:1] == ["launch"] and len(arguments) == 2 and not arguments[1].startswith("-"):
        return _launch(arguments[1])
    from runferry.cli.main import main as run_command

    return run_command()


def _launch(folder: str) -> int:
    """Do what `runferry launch FOLDER` does, without the other commands and their imports: every job waits for it."""
    from pathlib import Path

    from runferry.launch.launch import launch
    from runferry.runs.folder import RunFolder
    from runferry.system.messages import STARTED_BY, exit_code_of, say

    run = RunFolder(Path(folder).resolve())
    if not os.environ.get(STARTED_BY):
        # A user has typed it, not a rule.
        say(f"run {run.path.name}: the log is {os.path.relpath(run.log_file)}")
    return exit_code_of(lambda: launch(run), words=["launch", folder])


def _is_settled(arguments: list[str]) -> bool:
    """Return whether the arguments are just the rule's, `--log FILE RUN_FOLDER`, and the run's receipt holds."""
    if len(arguments) != 3 or arguments[0] != "--log" or arguments[2].startswith("-"):
        return False
    log, folder = arguments[1:]
    try:
        run = _read(f"{folder}/run.json")
        final, interim = f"{folder}/receipt.json", f"{folder}/interim-receipt.json"
        # Snakemake removes the receipt before it runs the rule; so a sync that took this run along left an interim one.
        receipt = _read(final if os.path.exists(final) else interim)  # noqa: PTH110 - see receipt_stamp
        if not os.path.exists(f"{folder}/trained.json") or not is_settled(run, receipt, folder):  # noqa: PTH110 - see receipt_stamp
            return False
        if not os.path.exists(final):  # noqa: PTH110
            os.rename(interim, final)  # noqa: PTH104
        if os.path.exists(log):  # noqa: PTH110
            # Of a time when it had no receipt.
            os.unlink(log)  # noqa: PTH108
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Whatever it is: the whole command says it better.
        return False
    return True


class _Plain:
    """The settings that the json package hands to its scanner by default."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _read(file: str) -> Any:
    with open(file) as stream:  # noqa: PTH123
        text = stream.read()
    try:
        # CPython's scanner without the package around it, whose import (with `re`) costs as much as the interpreter.
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)
    try:
        return make_scanner(_Plain)(text, 0)[0]  # pyright: ignore[reportArgumentType]
    # Without the package it cannot say what is wrong with the text, and fails for that reason.
    except (StopIteration, SystemError) as error:
        raise ValueError(file) from error

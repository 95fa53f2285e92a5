"""Define `runferry sync-job`, the Slurm job that `runferry sync --in-job` submits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runferry.cli.sync import sync_by_words

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_sync_job(commands: Commands) -> None:
    """Add `sync-job` to the command line."""
    parser = commands.add_parser(
        "sync-job",
        help="sync in a Slurm job (runferry sync --in-job submits it)",
        description="Take the key from the runferry sync that submitted this job, and do what that was asked for.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the two exchange files")
    parser.set_defaults(command=_run)


def _run(given: argparse.Namespace) -> int:
    from runferry.sync.job_exchange import note_end, take_command
    from runferry.system.messages import exit_code_of

    words = take_command(given.folder)
    code = exit_code_of(lambda: sync_by_words(words[1:]), words=words)
    note_end(given.folder, code)
    return code

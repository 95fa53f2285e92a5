"""Define `runferry sync`: upload runs to their server and verify them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.cli.job_options import add_job_options, job_place
from runferry.cli.watch import add_watch_options, watch
from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder, find_run_folders
from runferry.sync.options import options_for, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from runferry.cli.common import Commands


def add_sync(commands: Commands) -> None:
    """Add `sync` to the command line."""
    parser = commands.add_parser(
        "sync",
        help="bring runs to the W&B server and verify them",
        description="Send what the server lacks of each run, ask it what it holds, and write receipt.json where that "
        "is what the disk holds. Running it again sends nothing twice.",
        epilog="Exit code: 0 every run named has a receipt; 1 some have none (each is named, with the reason); "
        "2 wrong usage.",
    )
    _add_options(parser)
    parser.set_defaults(command=_sync)


def sync_by_words(words: Sequence[str]) -> int:
    """Sync as `runferry sync WORDS` does, with the options that the workflow has set for those runs.

    Returns
    -------
    int
        0 when every run has a receipt, else 1.
    """
    parser = argparse.ArgumentParser(prog="runferry sync")
    _add_options(parser)
    given = parser.parse_args([*options_for(words), *words], argparse.Namespace(words=["sync", *words]))
    return _sync(given)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_paths(parser)
    parser.add_argument(
        "--patience",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long the server may go on counting before it is not believed (default: %(default).0f)",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long one wandb sync may take, and a second more for each megabyte; how long a server that answers "
        "429 or 5xx is asked again (default: %(default).0f)",
    )
    parser.add_argument(
        "--parallel", type=int, default=34, metavar="RUNS", help="runs that are sent at once (default: %(default)d)"
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="between two questions whose answers must be the same before a server is believed that has a part of a "
        "run; W&B's counts come some seconds late (default: %(default).0f)",
    )
    parser.add_argument(
        "--read-back",
        choices=["sample", "all"],
        default="sample",
        help="rows that are compared after they were sent: all of every run, or of one with over 2,000 rows a sample "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--accept-missing",
        action="store_true",
        help="write a receipt also where files, artifacts or segments are gone or cannot be read, or rows that "
        "were logged are not on the disk; it lists them",
    )
    parser.add_argument(
        "--with-trained",
        action="store_true",
        help="sync the other runs of the same results that are trained and have no receipt, too (the rule says this)",
    )
    parser.add_argument(
        "--sweeps",
        action="store_true",
        help="make each experiment's sweep on the server, once, and count its synced runs to it",
    )
    parser.add_argument("--json", action="store_true", help="print progress and results as JSON lines on stdout")
    add_watch_options(parser)
    add_job_options(parser)


def _sync(given: argparse.Namespace) -> int:
    from runferry.sync.engine import sync
    from runferry.sync.outcome import Limits
    from runferry.system.messages import typed
    from runferry.system.progress import progress_for
    from runferry.system.text import count_of

    if given.watch:
        return watch(given)
    folders = given_folders(given)
    progress = progress_for(as_json=given.json)
    limits = Limits(
        given.patience,
        given.deadline,
        given.parallel,
        given.accept_missing,
        given.sweeps,
        given.settle,
        given.read_back,
    )
    with open_details(given.log) as log:
        if place := job_place(given):
            from runferry.sync.slurm_job import sync_in_job

            words = [*words_of(given), *(["--with-trained"] if given.with_trained else [])]
            outcomes = sync_in_job(folders, place, words, progress.say)
        else:
            outcomes = sync(folders, limits, log=log, progress=progress, with_trained=given.with_trained)
        problems = [outcome for outcome in outcomes if outcome.problem]
        for outcome in problems:
            line = f"{outcome.folder.path}: {outcome.problem}"
            progress.say(line)
            log.write(f"{line}\n")
    verified = len(outcomes) - len(problems)
    # What was stopped is there as far as it came, and is no result.
    unfinished = sum(not outcome.problem and not outcome.folder.trained_file.exists() for outcome in outcomes)
    if outcomes:
        progress.say(
            f"{verified} of {count_of(len(outcomes), 'run')} verified"
            + (
                f", {unfinished} of which {'is' if unfinished == 1 else 'are'} not trained to the end"
                if unfinished
                else ""
            )
            + (f"; for the rest see {given.log}" if problems and given.log else "")
            + (f"; to try these again, run: {typed(['runferry', *given.words])}" if problems else "")
        )
    if problems:
        from runferry.report.status.purge import purge_warning

        if warning := purge_warning(lambda: [outcome.folder for outcome in problems]):
            progress.say(warning)
    if given.with_trained and given.log and not problems:
        # A rule's: the receipts say all that it does, and a file for each run counts.
        given.log.unlink(missing_ok=True)
    return 1 if problems else 0


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the paths of runs, `--if-any` and `--log` to a command."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a run's folder, an experiment's, or results/"
    )
    parser.add_argument(
        "--if-any", action="store_true", help="leave out runs that were never started; none is no error"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="details go here")


def given_folders(given: argparse.Namespace) -> list[RunFolder]:
    """List the run folders at or below the given paths, each once; `--if-any` leaves out those never started.

    Raises
    ------
    ConfigError
        As `find_run_folders`, unless `--if-any` was given.
    """
    folders: dict[Path, RunFolder] = {}
    for path in given.paths:
        try:
            folders.update({folder.path.resolve(): folder for folder in find_run_folders(path)})
        except ConfigError:
            if not given.if_any:
                raise
    return [folder for folder in folders.values() if folder.attempts_folder.is_dir() or not given.if_any]


def open_details(file: Path | None) -> IO[str]:
    """Open the file of `--log` for writing and make its folder; without one return a stream to /dev/null."""
    if file is None:
        return Path(os.devnull).open("w")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w")

"""The command line: what a person types and what the rules call."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runferry import __version__
from runferry.commands_doctor import add_doctor
from runferry.commands_housekeeping import add_housekeeping
from runferry.commands_launch import add_launch, split_command
from runferry.commands_plan import add_plan
from runferry.commands_status import add_status
from runferry.commands_sweep import add_sweep_commands
from runferry.commands_watch import add_watch_options, watch
from runferry.environment_commands import add_environment_commands
from runferry.errors import ConfigError
from runferry.outcome import DEBUG, exit_code_of, say
from runferry.pack_commands import add_pack_commands
from runferry.run_folder import RunFolder, find_run_folders
from runferry.sync_options import options_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from runferry.commands import Commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 not done and why, 2 a usage or config error.

    `launch` returns the exit code of the user's command instead.
    """
    parser = _parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = options_for(words[1:]) if words[:1] == ["sync"] else []
    ours, run_command = split_command([*words[:1], *options, *words[1:]])
    given = parser.parse_args(ours, argparse.Namespace(run_command=run_command, words=words))
    return exit_code_of(lambda: given.command(given), debug=given.debug, words=words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="runferry",
        description="Train offline on compute nodes, sync to Weights & Biases, prove what arrived.",
        epilog="The whole pipeline is a Snakemake workflow: snakemake --profile profiles/local",
    )
    parser.add_argument("--version", action="version", version=f"runferry {__version__}")
    parser.add_argument("--debug", action="store_true", help=f"show a traceback with an error (or set {DEBUG}=1)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_plan(commands)
    add_launch(commands)
    _add_sync(commands)
    add_status(commands)
    _add_report(commands)
    add_pack_commands(commands)
    add_sweep_commands(commands)
    add_environment_commands(commands)
    add_housekeeping(commands)
    add_doctor(commands)
    return parser


def _add_sync(commands: Commands) -> None:
    parser = commands.add_parser(
        "sync",
        help="bring runs to the W&B server and verify them",
        description="Send what the server lacks of each run, ask it what it holds, and write receipt.json where that "
        "is what the disk holds. Running it again sends nothing twice.",
        epilog="Exit code: 0 every run named has a receipt; 1 some have none (each is named, with the reason); "
        "2 wrong usage.",
    )
    _add_paths(parser)
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
        "--accept-missing",
        action="store_true",
        help="write a receipt also where files or artifacts are gone from disk and server both; it lists them",
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
    parser.set_defaults(command=_sync)


def _sync(given: argparse.Namespace) -> int:
    from runferry.next_step import typed
    from runferry.progress import progress_for
    from runferry.sync import Limits, sync

    if given.watch:
        return watch(given)
    folders = _folders(given)
    progress = progress_for(as_json=given.json)
    limits = Limits(given.patience, given.deadline, given.parallel, given.accept_missing, given.sweeps)
    with _log(given.log) as log:
        outcomes = sync(folders, limits, log=log, progress=progress, with_trained=given.with_trained)
        problems = [outcome for outcome in outcomes if outcome.problem]
        for outcome in problems:
            line = f"{outcome.folder.path}: {outcome.problem}"
            progress.say(line)
            log.write(f"{line}\n")
    verified = len(outcomes) - len(problems)
    if outcomes:
        progress.say(
            f"{verified} of {len(outcomes)} runs verified"
            + (f"; for the rest see {given.log}" if problems and given.log else "")
            + (f"; to try these again, type: {typed(['runferry', *given.words])}" if problems else "")
        )
    if problems:
        from runferry.status.purge import purge_warning

        if warning := purge_warning(lambda: [outcome.folder for outcome in problems]):
            progress.say(warning)
    if given.with_trained and given.log and not problems:
        # A rule's: the receipts say all that it does, and a file for each run counts.
        given.log.unlink(missing_ok=True)
    return 1 if problems else 0


def _add_report(commands: Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="draw learning curves and list the runs of an experiment",
        description="Write report.html into each experiment's folder, from the segments on disk: before, while and "
        "after they are synced.",
    )
    _add_paths(parser)
    parser.set_defaults(command=_report)


def _report(given: argparse.Namespace) -> int:
    from runferry.progress import progress_for
    from runferry.report import build_report

    experiments = sorted({folder.path.parent for folder in _folders(given)})
    progress = progress_for(as_json=False)
    with _log(given.log) as log:
        for experiment in experiments:
            try:
                line = f"report: {build_report(experiment, progress.read)}"
            finally:
                progress.end()
            say(line)
            log.write(f"{line}\n")
    return 0


def _add_paths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a run's folder, an experiment's, or results/"
    )
    parser.add_argument(
        "--if-any", action="store_true", help="leave out runs that were never started; none is no error"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="details go here")


def _folders(given: argparse.Namespace) -> list[RunFolder]:
    folders: dict[Path, RunFolder] = {}
    for path in given.paths:
        try:
            folders.update({folder.path.resolve(): folder for folder in find_run_folders(path)})
        except ConfigError:
            if not given.if_any:
                raise
    return [folder for folder in folders.values() if folder.attempts_folder.is_dir() or not given.if_any]


def _log(file: Path | None) -> IO[str]:
    if file is None:
        return Path(os.devnull).open("w")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w")

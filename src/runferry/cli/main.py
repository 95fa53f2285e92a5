"""Build the command line, for users and for the rules of the workflow."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from runferry import __version__
from runferry.cli.doctor import add_doctor
from runferry.cli.environment import add_environment_commands
from runferry.cli.housekeeping import add_housekeeping
from runferry.cli.init import add_init
from runferry.cli.launch import add_launch, split_command
from runferry.cli.packs import add_pack_commands
from runferry.cli.plan import add_plan
from runferry.cli.profile import add_profile
from runferry.cli.pull import add_pull
from runferry.cli.report import add_report
from runferry.cli.status import add_status
from runferry.cli.sweep import add_sweep_commands
from runferry.cli.sync import add_sync
from runferry.cli.sync_job import add_sync_job
from runferry.errors import ConfigError
from runferry.sync.options import options_for
from runferry.system.messages import DEBUG, exit_code_of
from runferry.system.text import suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.cli.common import Commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 not done and why, 2 a usage or config error.

    `launch` returns the exit code of the user's command instead.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser, commands = _parser()
    if words and not words[0].startswith("-") and words[0] not in commands.choices:
        return exit_code_of(lambda: _refuse(words[0], commands), words=words)
    options = options_for(words[1:]) if words[:1] == ["sync"] else []
    ours, run_command = split_command([*words[:1], *options, *words[1:]])
    given = parser.parse_args(ours, argparse.Namespace(run_command=run_command, words=words))
    return exit_code_of(lambda: given.command(given), debug=given.debug, words=words)


def _refuse(word: str, commands: Commands) -> NoReturn:
    # Those without a help are the rules' own.
    known = [action.dest for action in commands._choices_actions]  # pyright: ignore[reportPrivateUsage]
    message = f"found the command {word!r}, expected one of {', '.join(known)}{suggest(word, known)}"
    raise ConfigError(f"{message}; run: runferry --help")


def _parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Build the parser; a command that only rules and jobs type has no `help`, and is not listed."""
    parser = argparse.ArgumentParser(
        prog="runferry",
        description="Train offline on compute nodes, sync to Weights & Biases, prove what arrived.",
        epilog='The whole pipeline is a Snakemake workflow: snakemake --profile "$(runferry profile local)"',
    )
    parser.add_argument("--version", action="version", version=f"runferry {__version__}")
    parser.add_argument("--debug", action="store_true", help=f"show a traceback with an error (or set {DEBUG}=1)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_init(commands)
    add_plan(commands)
    add_profile(commands)
    add_launch(commands)
    add_sync(commands)
    add_pull(commands)
    add_sync_job(commands)
    add_status(commands)
    add_report(commands)
    add_pack_commands(commands)
    add_sweep_commands(commands)
    add_environment_commands(commands)
    add_housekeeping(commands)
    add_doctor(commands)
    return parser, commands

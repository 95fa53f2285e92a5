"""Define the commands of packs and of runs of several nodes or tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runferry.runs.folder import RunFolder

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_pack_commands(commands: Commands) -> None:
    """Add `launch-pack`, `settle`, `launch-nodes` and `launch-tasks` to the command line."""
    _add_launch_pack(commands)
    _add_settle(commands)
    _add_launch_nodes(commands)
    _add_launch_tasks(commands)


def _add_launch_pack(commands: Commands) -> None:
    parser = commands.add_parser(
        "launch-pack",
        description="Launch what is left of the runs that PACK_FOLDER/runs.json names, so many at a time, each with "
        "its own GPUs, attempt and log; then write done.json. A run that fails leaves the others alone.",
        epilog="Exit code: 0 each run has had its attempt; 1 some are to go on in another job; 128 + N signal N came "
        "before.",
    )
    parser.add_argument("folder", type=Path, metavar="PACK_FOLDER", help="results/<experiment>/packs/<pack>")
    parser.set_defaults(command=_launch_pack)


def _launch_pack(given: argparse.Namespace) -> int:
    from runferry.launch.pack import launch_pack

    return launch_pack(given.folder.resolve())


def _add_settle(commands: Commands) -> None:
    parser = commands.add_parser(
        "settle",
        description="Write the trained.json of a run that was trained in a pack; else say why there is none.",
        epilog="Exit code: 0 it was trained; 1 it was not.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="results/<experiment>/<run>")
    parser.set_defaults(command=_settle)


def _settle(given: argparse.Namespace) -> int:
    from runferry.runs.pack import settle_run

    settle_run(RunFolder(given.folder.resolve()))
    return 0


def _add_launch_nodes(commands: Commands) -> None:
    parser = commands.add_parser(
        "launch-nodes",
        description="What `runferry launch` starts for a run of several nodes, and with --node what runs on each.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="results/<experiment>/<run>")
    parser.add_argument("--node", action="store_true", help="run the command on this node, as srun starts it")
    parser.set_defaults(command=_launch_nodes)


def _launch_nodes(given: argparse.Namespace) -> int:
    folder = RunFolder(given.folder.resolve())
    if given.node:
        from runferry.launch.launch import launch_on_node
        from runferry.launch.multi_node import this_node

        return launch_on_node(folder, this_node())
    from runferry.launch.multi_node import launch_on_nodes

    return launch_on_nodes(folder)


def _add_launch_tasks(commands: Commands) -> None:
    parser = commands.add_parser(
        "launch-tasks",
        description="What `runferry launch` starts for a run of several tasks, and with --task what each of them is.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="results/<experiment>/<run>")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--told", type=Path, metavar="FILE", help="what the launcher says of the tasks")
    given.add_argument("--task", metavar="NAME", help="the socket of what starts the tasks")
    parser.set_defaults(command=_launch_tasks)


def _launch_tasks(given: argparse.Namespace) -> int:
    if given.task:
        from runferry.launch.task import run_task

        return run_task(given.task)
    from runferry.launch.tasks import launch_tasks

    return launch_tasks(RunFolder(given.folder.resolve()), given.told)

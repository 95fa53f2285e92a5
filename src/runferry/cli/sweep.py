"""Define the commands that the rules of sweeps call: `launch-place`, `sync-round` and `best`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_sweep_commands(commands: Commands) -> None:
    """Add `launch-place`, `sync-round` and `best` to the command line."""
    parser = commands.add_parser(
        "launch-place",
        description="Run the run of a place in a round, and write ENDED when it has ended: also when its command "
        "failed, which is a result for the next round. Remove ENDED to have it run again.",
    )
    parser.add_argument("ended", type=Path, metavar="ENDED", help="results/<experiment>/rounds/<round>/<place>.json")
    parser.set_defaults(command=_launch_place)
    parser = commands.add_parser(
        "sync-round",
        description="Sync the runs of a round, failed ones too, and write SYNCED when each has its receipt.",
    )
    parser.add_argument("synced", type=Path, metavar="SYNCED", help="results/<experiment>/rounds/<round>/synced.json")
    parser.add_argument("--log", type=Path, metavar="FILE", help="details go here")
    parser.set_defaults(command=_sync_round)
    parser = commands.add_parser(
        "best",
        description="Write BEST: the run that finished with the best value of the metric, or the only one.",
    )
    parser.add_argument("best", type=Path, metavar="BEST", help="results/<experiment>/best.json")
    parser.add_argument("--metric", metavar="NAME", help="its name")
    parser.add_argument("--goal", choices=("minimize", "maximize"), default="minimize", help="(default: %(default)s)")
    parser.set_defaults(command=_best)


def _launch_place(given: argparse.Namespace) -> int:
    from runferry.launch.bayes_run import launch_place

    return launch_place(given.ended.resolve())


def _sync_round(given: argparse.Namespace) -> int:
    from runferry.cli.sync import sync_by_words
    from runferry.config.rounds import round_file
    from runferry.system.files import read_json, write_json

    experiment = given.synced.resolve().parents[2]
    runs = [run["id"] for run in read_json(round_file(experiment, int(given.synced.parent.name)))]
    log = ["--log", str(given.log)] if given.log else []
    status = sync_by_words([*log, *(str(experiment / run) for run in runs)])
    if status == 0:
        write_json(given.synced, {"runs": runs})
    return status


def _best(given: argparse.Namespace) -> int:
    from runferry.runs.folder import runs_of
    from runferry.workflow.best_run import write_best

    experiment = given.best.resolve().parent
    metric = {"name": given.metric, "goal": given.goal} if given.metric else None
    write_best(experiment, runs_of(experiment), metric)
    return 0

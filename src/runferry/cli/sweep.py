"""Define the commands that the rules of sweeps call: `launch-place`, `sync-round`, `sync-place` and `best`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_sweep_commands(commands: Commands) -> None:
    """Add `launch-place`, `sync-round`, `sync-place` and `best` to the command line."""
    parser = commands.add_parser(
        "launch-place",
        description="Run the run of a place in a round or a search, and write ENDED when it has ended: also when its "
        "command failed, which is a result, too. A search is asked for a point where the place has none. Remove ENDED "
        "to have it run again.",
    )
    parser.add_argument(
        "ended",
        type=Path,
        metavar="ENDED",
        help="results/<experiment>/rounds/<round>/<place>.json or results/<experiment>/search/<place>.json",
    )
    parser.add_argument("--point-asked", action="store_true", help="the place of a search has its point: do not ask")
    parser.set_defaults(command=_launch_place)
    parser = commands.add_parser(
        "sync-round",
        description="Sync the runs of a round, failed ones too, and write SYNCED when each has its receipt.",
    )
    parser.add_argument("synced", type=Path, metavar="SYNCED", help="results/<experiment>/rounds/<round>/synced.json")
    parser.add_argument("--log", type=Path, metavar="FILE", help="details go here")
    parser.set_defaults(command=_sync_round)
    parser = commands.add_parser(
        "sync-place",
        description="Sync the run of a place, also a failed one, and write SYNCED when it has its receipt.",
    )
    parser.add_argument("synced", type=Path, metavar="SYNCED", help="results/<experiment>/search/<place>-synced.json")
    parser.add_argument("--log", type=Path, metavar="FILE", help="details go here")
    parser.set_defaults(command=_sync_place)
    parser = commands.add_parser(
        "best",
        description="Write BEST: the run that finished with the best value of the metric, or the only one.",
    )
    parser.add_argument("best", type=Path, metavar="BEST", help="results/<experiment>/best.json")
    parser.add_argument("--metric", metavar="NAME", help="its name")
    parser.add_argument("--goal", choices=("minimize", "maximize"), default="minimize", help="(default: %(default)s)")
    parser.set_defaults(command=_best)


def _launch_place(given: argparse.Namespace) -> int:
    from runferry.config.search.state import is_place
    from runferry.launch.bayes_run import launch_place

    ended: Path = given.ended.resolve()
    if is_place(ended) and not given.point_asked:
        from runferry.system.messages import say
        from runferry.workflow.search import ask_until_answered

        ask_until_answered(ended, say)
        if ended.exists():
            # There was no point left to ask for.
            return 0
    return launch_place(ended)


def _sync_round(given: argparse.Namespace) -> int:
    from runferry.config.rounds import read_chosen, round_file

    experiment = given.synced.resolve().parents[2]
    runs = [run.id for run in read_chosen(round_file(experiment, int(given.synced.parent.name)))]
    return _sync(given, experiment, runs)


def _sync_place(given: argparse.Namespace) -> int:
    from runferry.config.place_record import PlaceRecord

    synced: Path = given.synced.resolve()
    run = PlaceRecord.read(synced.with_name(synced.name.replace("-synced", ""))).run
    return _sync(given, synced.parents[1], [run] if run else [])


def _sync(given: argparse.Namespace, experiment: Path, runs: list[str]) -> int:
    from runferry.cli.sync import sync_by_words
    from runferry.system.files import write_json

    log = ["--log", str(given.log)] if given.log else []
    status = sync_by_words([*log, *(str(experiment / run) for run in runs)]) if runs else 0
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

"""Define `runferry report`: draw the page of an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.cli.sync import add_paths, given_folders, open_details
from runferry.system.messages import say

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_report(commands: Commands) -> None:
    """Add `report` to the command line."""
    parser = commands.add_parser(
        "report",
        help="draw learning curves and list the runs of an experiment",
        description="Write report.html into each experiment's folder, from the segments on disk: before, while and "
        "after they are synced.",
    )
    add_paths(parser)
    parser.add_argument("--cluster", metavar="NAME", help="whose requests are advised (default: $CC_CLUSTER)")
    parser.set_defaults(command=_report)


def _report(given: argparse.Namespace) -> int:
    from runferry.report.build import build_report
    from runferry.system.progress import progress_for

    experiments = sorted({folder.path.parent for folder in given_folders(given)})
    progress = progress_for(as_json=False)
    with open_details(given.log) as log:
        for experiment in experiments:
            try:
                line = f"report: {build_report(experiment, progress.read, given.cluster)}"
            finally:
                progress.end()
            say(line)
            log.write(f"{line}\n")
    return 0

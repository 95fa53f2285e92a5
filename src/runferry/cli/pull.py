"""Define `runferry pull` and `runferry serve-results`: sync from a machine that a site is reached from."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.cli.common import interval

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands


def add_pull(commands: Commands) -> None:
    """Add `pull` and `serve-results` to the command line."""
    pull = commands.add_parser(
        "pull",
        help="bring runs from a site over ssh, sync them from here, and give the site their receipts",
        description="Bring the segments and records of the runs that have ended and have no receipt at the site, sync "
        "them with the key of this machine, and write the receipts at the site. What is here is not sent again: after "
        "a lost connection it continues where it was.",
        epilog="Exit code: 0 every run that has ended has a receipt; 1 some have none; 2 wrong usage. At the site "
        "runferry has to be installed; it starts `runferry serve-results` there, and leaves nothing running.",
    )
    pull.add_argument("site", metavar="HOST:FOLDER", help="a host as ssh knows it, and its folder of results")
    pull.add_argument("--to", type=Path, metavar="FOLDER", help="the copy here (default: <host>/<name of the folder>)")
    pull.add_argument("--watch", action="store_true", help="go on until Ctrl-C: do it again every --interval seconds")
    pull.add_argument(
        "--interval", type=interval, default=300.0, metavar="SECONDS", help="of --watch (default: %(default).0f)"
    )
    pull.add_argument(
        "--program", default="runferry", metavar="COMMAND", help="what starts runferry there (default: %(default)s)"
    )
    pull.add_argument("--ssh", default="ssh", metavar="COMMAND", help="what connects, as in 'ssh -p 2222'")
    pull.add_argument(
        "--sync-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="one of runferry sync, as in --sync-option=--read-back=all; may be given several times",
    )
    pull.set_defaults(command=_pull)

    serve = commands.add_parser(
        "serve-results",
        help="answer runferry pull, at the site",
        description="Answer one runferry pull over stdin and stdout, and end with it. It reads and writes below the "
        "named folders only, and writes nothing but receipts. As the command= of a key in authorized_keys it takes of "
        "SSH_ORIGINAL_COMMAND only which of the folders is meant.",
    )
    serve.add_argument("folders", nargs="+", type=Path, metavar="RESULTS", help="a folder of results")
    serve.set_defaults(command=_serve)


def _pull(given: argparse.Namespace) -> int:
    from runferry.sync.remote.connection import parse_site
    from runferry.sync.remote.frames import LineError
    from runferry.sync.remote.pull import Pull
    from runferry.system.messages import note_command
    from runferry.system.progress import progress_for

    # For what `runferry sync` says to type again.
    note_command()
    progress = progress_for(as_json=False)
    site = parse_site(given.site, program=given.program, ssh=given.ssh)
    mirror = given.to or Path(site.host.rpartition("@")[2], Path(site.folder).name or "results")
    pull = Pull(site, mirror, given.sync_option, progress)
    first = True
    while True:
        try:
            done = pull.once()
        except LineError as error:
            if first or not given.watch:
                raise
            progress.say(str(error))
        else:
            first = False
            left = len(done.runs) - len(done.verified)
            progress.say(
                f"brought {done.bytes_of_files / 1e6:.1f} MB to {mirror}; {len(done.verified)} of {len(done.runs)} "
                "runs verified, and the site has their receipts; "
                f"{done.receipts} had one before, {done.training} are training"
            )
            if not given.watch:
                return 1 if left else 0
        time.sleep(given.interval)


def _serve(given: argparse.Namespace) -> int:
    from runferry.sync.remote.frames import Line, LineError
    from runferry.sync.remote.serving import ResultsService, folder_asked_for

    root = folder_asked_for(given.folders, os.environ.get("SSH_ORIGINAL_COMMAND"))
    # What anything else prints must not come between the frames.
    line = Line(0, os.dup(1))
    os.dup2(sys.stderr.fileno(), 1)
    try:
        ResultsService(root, line).serve()
    except LineError:
        # The other side's to say, and to do again.
        return 1
    return 0

"""Define `runferry clean`, `runferry adopt` and `runferry rename`."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.cli.common import RUN_PATHS, run_folders
from runferry.cli.environment import add_unused_environments, clean_environments
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from runferry.cli.common import Commands


def add_housekeeping(commands: Commands) -> None:
    """Add `clean`, `adopt` and `rename` to the command line."""
    clean = commands.add_parser(
        "clean",
        help="delete from disk what the server holds, or what nothing needs any more",
        description="--older-than deletes the segments of trained runs whose receipt is old enough, after the server "
        "was asked again for every row. Receipts stay, so that runs stay done; a report made afterwards lacks their "
        "curves. --environments deletes packed environments that no record names any more; PATH is results/ then.",
    )
    clean.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=RUN_PATHS)
    clean.add_argument("--older-than", type=_age, metavar="AGE", help="since it was verified: 7d, 12h; 0d for all")
    add_unused_environments(clean)
    clean.add_argument("-n", "--dry-run", action="store_true", help="ask and say what would be deleted; delete nothing")
    clean.set_defaults(command=_clean)

    adopt_segments = commands.add_parser(
        "adopt",
        help="take in offline runs that were made without runferry",
        description="Move every offline-run-* at or below PATH into RESULTS/EXPERIMENT/<run id>/wandb/, by a rename: "
        "nothing is copied. Afterwards runferry sync gives them receipts.",
    )
    adopt_segments.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="an offline-run-* or a folder that has some"
    )
    adopt_segments.add_argument("--results", type=Path, default=Path("results"), help="default: %(default)s")
    adopt_segments.add_argument(
        "--experiment", default="adopted", type=_name, metavar="NAME", help="default: %(default)s"
    )
    adopt_segments.add_argument("--dry-run", action="store_true", help="say what would be moved; move nothing")
    adopt_segments.set_defaults(command=_adopt)

    rename_runs = commands.add_parser(
        "rename",
        help="send a run to a W&B run of its own, where the one of its id has other rows",
        description="Give the W&B runs of each run named a new id, under which runferry sync sends them whole. For a "
        "run whose id has rows of another training on the server, or rows that arrived twice. The W&B run of the old "
        "id is left as it is; what is on the disk is not changed.",
    )
    rename_runs.add_argument("paths", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    rename_runs.set_defaults(command=_rename)


def _clean(given: argparse.Namespace) -> int:
    if given.older_than is None and not given.environments:
        raise ConfigError("clean: found nothing to delete, expected --older-than AGE, --environments, or both")
    for results in given.paths if given.environments else ():
        if not results.is_dir():
            raise ConfigError(f"{results}: found no such folder, expected the folder of results")
        clean_environments(results, dry_run=given.dry_run)
    return _clean_segments(given) if given.older_than is not None else 0


def _clean_segments(given: argparse.Namespace) -> int:
    from runferry.sync.clean import clean
    from runferry.system.progress import progress_for

    progress = progress_for(as_json=False)
    done = clean(run_folders(given.paths), given.older_than, progress, dry_run=given.dry_run)
    for each in done:
        if each.kept:
            progress.say(f"{each.folder.path}: kept: {each.kept}")
    runs = sum(1 for each in done if not each.kept)
    size, files = sum(each.bytes for each in done), sum(each.files for each in done)
    word = "would free" if given.dry_run else "freed"
    progress.say(f"{word} {size:,} bytes in {files:,} files of {runs} of {len(done)} runs")
    return 0


def _adopt(given: argparse.Namespace) -> int:
    from runferry.sync.adopt import adopt_segments
    from runferry.system.progress import progress_for

    progress = progress_for(as_json=False)
    done = adopt_segments(given.paths, given.results, given.experiment, dry_run=given.dry_run)
    for each in done:
        # Each with where it was and is, so that it can be moved back.
        progress.say(f"{each.segment}: " + (f"left: {each.left}" if each.folder is None else f"-> {each.folder.path}"))
    taken = [each for each in done if each.folder]
    word = "would move" if given.dry_run else "moved"
    rest = f"; run: runferry sync {given.results / given.experiment}" if taken and not given.dry_run else ""
    progress.say(f"{word} {len(taken)} of {len(done)} segments{rest}")
    return 0 if len(taken) == len(done) else 1


def _rename(given: argparse.Namespace) -> int:
    from runferry.sync.rename import rename
    from runferry.system.progress import progress_for

    progress = progress_for(as_json=False)
    for path in given.paths:
        if not (path / "run.json").is_file():
            raise ConfigError(f"{path}: found no run.json in it, expected the folder of one run")
    for folder, ids in rename(run_folders(given.paths), progress.say).items():
        for old, new in ids.items():
            progress.say(f"{folder}: the W&B run {old} is {new} from now on")
    progress.say(f"run: runferry sync {' '.join(str(path) for path in given.paths)}")
    return 0


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([dhm])", text)
    if found is None:
        message = f"found {text!r}, expected an age such as 7d, 12h or 30m"
        raise argparse.ArgumentTypeError(message)
    return timedelta(**{{"d": "days", "h": "hours", "m": "minutes"}[found[2]]: int(found[1])})


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        message = f"found {text!r}, expected an experiment's name of letters, digits, _ . and -, 64 at most"
        raise argparse.ArgumentTypeError(message)
    return text

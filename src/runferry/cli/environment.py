"""Define the commands for environments: build one, unpack one, remove those that nothing uses."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from runferry.cli.common import Commands
    from runferry.environment.specification import Kind


def add_environment_commands(commands: Commands) -> None:
    """Add `environment` and `unpack` to the command line."""
    parser = commands.add_parser(
        "environment",
        help="build and pack an environment",
        description="Build an environment, pack it into one archive beside RECORD and write RECORD. An archive that is "
        "there already is not packed again. Beside RECORD lies a lock that says for each package where it came from.",
    )
    parser.add_argument("record", type=Path, metavar="RECORD", help="results/environments/<name>.json")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--requirements", type=Path, metavar="FILE", help="from a pip requirements file")
    source.add_argument(
        "--lock", type=Path, metavar="FILE", help="from one with every version pinned, and nothing else"
    )
    source.add_argument("--pyproject", type=Path, metavar="PATH", help="from a project, whose package is installed too")
    source.add_argument("--venv", type=Path, metavar="FOLDER", help="an existing virtual environment, as it is")
    source.add_argument("--container", type=Path, metavar="IMAGE", help="an Apptainer image; it is not packed")
    parser.add_argument("--extra", action="append", default=[], dest="extras", help="of the project (repeatable)")
    parser.add_argument("--committed", action="store_true", help="the project as git has it, not the working tree")
    parser.add_argument("--python", metavar="VERSION", help="such as 3.11 (default: the Python that runs this)")
    parser.add_argument(
        "--module", action="append", default=[], dest="modules", help="load this module first (repeatable)"
    )
    parser.add_argument("--no-index", action="store_true", help="take wheels only from the site's wheelhouse")
    parser.add_argument("--index-allowed", action="store_true", help="download what the wheelhouse lacks, that alone")
    parser.add_argument("--log", type=Path, metavar="FILE", help="pip's output goes here (default: stderr)")
    parser.set_defaults(command=_environment)
    parser = commands.add_parser(
        "unpack",
        description="Unpack the environment of RECORD below FOLDER and print its folder; one that is there is used "
        "again.",
    )
    parser.add_argument("record", type=Path, metavar="RECORD", help="results/environments/<name>.json")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        nargs="?",
        help="node-local (default: $SLURM_TMPDIR, else the current one)",
    )
    parser.set_defaults(command=_unpack)


def add_unused_environments(parser: argparse.ArgumentParser) -> None:
    """Add the option `--environments` to `runferry clean`."""
    parser.add_argument(
        "--environments", action="store_true", help="remove packed environments that no record names any more"
    )


def clean_environments(results: Path, *, dry_run: bool) -> int:
    """List the unused environments of a results folder, remove them unless `dry_run`, and return an exit code."""
    from runferry.environment.unused import remove_unused, unused_archives

    unused = unused_archives(results)
    for item in unused:
        _say(f"{item.path}: {item.size_bytes / 1e6:.0f} MB, {item.reason}")
    size = sum(item.size_bytes for item in unused) / 1e6
    if dry_run:
        _say(f"{len(unused)} unused files, {size:.0f} MB; nothing was removed (--dry-run)")
        return 0
    removed = remove_unused(unused)
    _say(f"{removed} unused files removed, {size:.0f} MB")
    return 0


def _environment(given: argparse.Namespace) -> int:
    from runferry.environment.building import build
    from runferry.environment.specification import KINDS, Specification

    kind: Kind = next(kind for kind in KINDS if getattr(given, kind))
    specification = Specification(
        getattr(given, kind),
        given.python,
        tuple(given.modules),
        no_index=given.no_index,
        kind=kind,
        extras=tuple(given.extras),
        committed=given.committed,
        index_allowed=given.index_allowed,
    )
    with _log(given.log) as log:
        if kind == "container":
            from runferry.environment.container import record_container

            image = record_container(specification, given.record)
            _say(f"environment {image.key} ({image.image}, {image.image_bytes / 1e6:.0f} MB)")
            return 0
        record = build(specification, given.record, log=log)
    _say(f"environment {record.key} ({record.files} files, {record.archive_bytes / 1e6:.0f} MB packed)")
    return 0


def _unpack(given: argparse.Namespace) -> int:
    from runferry.environment.archive import unpack

    folder = given.folder or Path(os.environ.get("SLURM_TMPDIR") or ".")
    print(unpack(given.record.resolve(), folder.resolve()))
    return 0


def _log(file: Path | None) -> Any:
    # Without a log, pip's output is for the user who waits.
    if file is None:
        return nullcontext()
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("w")


def _say(line: str) -> None:
    print(f"runferry: {line}", file=sys.stderr, flush=True)

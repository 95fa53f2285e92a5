"""Define `runferry doctor`: compare this login node, and a compute node, with the cluster's facts."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.cli.doctor_learn import learn
from runferry.cli.doctor_server import FILE, PROJECT, try_server
from runferry.errors import ConfigError
from runferry.system.files import write_atomically, write_numbered
from runferry.system.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.cli.common import Commands
    from runferry.doctor.finding import Finding
    from runferry.doctor.record import DoctorRecord, Redaction
    from runferry.doctor.site import Site

ELSEWHERE = ("https://storage.googleapis.com", "https://pypi.org")
"""What a compute node tries to reach besides W&B's server: where W&B stores files, and the package index."""


def add_doctor(commands: Commands) -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="compare a login node, and a compute node when asked, with the facts of its cluster",
        description="Look, in less than a minute, at modules, Python, the wheelhouse, Slurm, accounts, room, locks and "
        "W&B's server, and name what differs from the cluster's facts. Nothing is submitted without --probe, and no "
        "run is made without --server. What was found is printed, and written to a file to be attached to an issue; no "
        "key is in it.",
        epilog="Exit code: 0 all is as expected; 1 something differs, would not work or could not be found out; "
        "2 wrong usage.",
    )
    parser.add_argument(
        "--profile", metavar="NAME", help="a cluster's, such as narval, or a folder as Snakemake's; else $CC_CLUSTER"
    )
    parser.add_argument(
        "--account", metavar="NAME", help="the one that jobs would have; else the config's, or the first"
    )
    parser.add_argument(
        "--package", action="append", default=[], metavar="NAME", help="look for it in the wheelhouse too (repeatable)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="Markdown, or JSON where it ends in .json (default: runferry-doctor-<cluster>-<date>.md here)",
    )
    probe = parser.add_argument_group("a job that looks at a compute node")
    probe.add_argument("--probe", action="store_true", help="submit one job of five minutes, and wait for it")
    probe.add_argument("--no-gpu", action="store_true", help="without a GPU, which may start sooner")
    probe.add_argument(
        "--patience",
        type=_minutes,
        default=60.0,
        metavar="MINUTES",
        help="how long it may wait in the queue before it is cancelled (default: %(default).0f)",
    )
    probe.add_argument(
        "--reach",
        action="append",
        metavar="URL",
        help="what it tries to reach besides W&B's server (repeatable; default: " + ", ".join(ELSEWHERE) + ")",
    )
    server = parser.add_argument_group("a try of W&B's server")
    server.add_argument(
        "--server",
        action="store_true",
        help="make two small runs of made-up data, measure whether the server is as sync assumes, and delete them; "
        f"nothing else is looked at (default file: {FILE})",
    )
    server.add_argument("--project", default=PROJECT, metavar="NAME", help="where to make them (default: %(default)s)")
    server.add_argument("--entity", metavar="NAME", help="a team or user (default: the key's own)")
    new = parser.add_argument_group("a cluster that runferry does not know")
    new.add_argument(
        "--learn",
        metavar="NAME",
        help="draft its file of facts, NAME.yaml, from what Slurm says here; with --probe from a job too",
    )
    # Ends the job after so long, and at the first signal: for tests, which do not wait for its time limit.
    probe.add_argument("--probe-seconds", type=float, help=argparse.SUPPRESS)
    parser.set_defaults(command=_doctor)


def _doctor(given: argparse.Namespace) -> int:
    if given.server:
        if given.probe:
            raise ConfigError("--server: found --probe too, expected one of them; one looks at a server, one at a node")
        return try_server(given)
    if given.learn:
        return learn(given)
    from runferry.doctor.checking import run_checks
    from runferry.doctor.examination import login_checks
    from runferry.doctor.record import Redaction
    from runferry.doctor.site import find_site

    site = find_site(given.profile, given.account, given.reach or ELSEWHERE, Path.cwd())
    if given.probe and not site.cluster.slurm:
        raise ConfigError(f"--probe: found cluster {site.cluster.name}, which has no Slurm, expected one that has")
    redaction = Redaction()
    show = _show(redaction, as_json=given.json)
    checks = login_checks(site, given.package)
    compared = f"{len(checks)} checks compare this machine with the facts of {site.cluster.title}"
    say(f"doctor: {compared}; they take less than a minute and submit nothing")
    findings = redaction.findings(run_checks(checks, show))
    file, record = _write(given.output, site, findings, probed=False)
    if given.probe:
        findings += _probe(given, site, redaction, show)
        file, record = _write(file, site, findings, probed=True)
    if given.json:
        sys.stdout.write(json.dumps(record.as_json()) + "\n")
    say(f"doctor: {record.summary()}; {file}")
    if record.exit_code:
        say("doctor: what differs is worth an issue: attach this file to it; docs/doctor.md says what each line means")
    return record.exit_code


def _probe(
    given: argparse.Namespace, site: Site, redaction: Redaction, show: Callable[[list[Finding]], object]
) -> list[Finding]:
    from runferry.doctor.probe import ProbeOptions, probe

    options = ProbeOptions(not given.no_gpu, 60 * given.patience, given.probe_seconds)
    found = probe(site, options, lambda line: say(redaction.text(line)))
    show(found)
    return redaction.findings(found)


def _show(redaction: Redaction, *, as_json: bool) -> Callable[[list[Finding]], object]:
    from runferry.doctor.record import screen_lines

    def show(findings: list[Finding]) -> None:
        if not as_json:
            sys.stdout.write("".join(f"{line}\n" for line in screen_lines(redaction.findings(findings))))
            sys.stdout.flush()

    return show


def _write(file: Path | None, site: Site, findings: list[Finding], *, probed: bool) -> tuple[Path, DoctorRecord]:
    """Write the record, to a new file where none is named; return which, and the record."""
    from runferry.doctor.record import DoctorRecord

    record = DoctorRecord(site.cluster.name, site.sources, datetime.now(UTC), findings, probed)
    if file is not None:
        write_atomically(file, record.file_text(file.suffix))
        return file, record
    # An earlier one of the day may hold what its job saw.
    file = Path(f"runferry-doctor-{site.cluster.name}-{record.time:%Y-%m-%d}.md")
    return write_numbered(file, record.file_text(file.suffix)), record


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= 10_000:
        message = f"found {text!r}, expected a number of minutes"
        raise argparse.ArgumentTypeError(message)
    return minutes

"""Run `runferry doctor --server`: try W&B's server with two small runs, and write which assumptions of sync hold."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import ServerError
from runferry.system.files import json_text, write_atomically, write_numbered
from runferry.system.messages import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from runferry.doctor.finding import Finding
    from runferry.doctor.server.record import ServerRecord
    from runferry.trackers.wandb.server import Server

PROJECT = "runferry-doctor"
FILE = "runferry-doctor-server.json"

_DEADLINE = 120.0
"""Seconds for one `wandb sync` of a segment of some rows."""


def try_server(given: argparse.Namespace) -> int:
    """Try the server that the config, or the environment, names, and return the exit code.

    Raises
    ------
    ServerError
        When the server cannot be reached, redirects or refuses the key.
    """
    from runferry.doctor.record import Redaction, screen_lines
    from runferry.doctor.server.assumptions import ASSUMPTIONS
    from runferry.doctor.server.probe import ServerProbe, find_place
    from runferry.doctor.server.record import ServerRecord
    from runferry.doctor.site import configured_base_url
    from runferry.trackers.wandb.login import find_server

    redaction = Redaction()
    server = find_server(configured_base_url(Path.cwd()), say=lambda line: say(redaction.text(line)))
    redaction.add_key(server.key)

    def show(findings: list[Finding]) -> None:
        if not given.json:
            sys.stdout.write("".join(f"{line}\n" for line in screen_lines(redaction.findings(findings))))
            sys.stdout.flush()

    url = redaction.text(server.base_url)
    say(f"doctor: trying {len(ASSUMPTIONS)} assumptions about {url}, with two runs of made-up data in {given.project}")
    say("doctor: this takes about a minute; Ctrl-C deletes the two runs")
    begun = time.monotonic()
    probe = ServerProbe(find_place(server, given.entity, given.project), _send, show, say)
    probe.try_all()
    took = time.monotonic() - begun
    record = ServerRecord(url, datetime.now(UTC), took, probe.lags, redaction.findings(probe.findings))
    file = _write(given.output, record)
    if given.json:
        sys.stdout.write(json.dumps(record.as_json()) + "\n")
    say(f"doctor: {record.summary()}; {file}")
    say("doctor: no key is in this file; attach it to an issue: nobody has seen yet how W&B's own server answers")
    return record.exit_code


def _send(segments: Sequence[Path], server: Server, folder: Path) -> None:
    """Send segments as `runferry sync` does.

    Raises
    ------
    ServerError
        When `wandb sync` fails, or the server refuses the key.
    """
    from runferry.sync.wandb.upload import SyncCall, send

    refused = send(segments, server, SyncCall(folder, _DEADLINE))
    for status in refused.values():
        raise ServerError(server.refusal(status))


def _write(file: Path | None, record: ServerRecord) -> Path:
    """Write the record, to a new file where none is named; return which."""
    text = json_text(record.as_json())
    if file is not None:
        write_atomically(file, text)
        return file
    return write_numbered(Path(FILE), text)

"""The errors of pulling runs from a site, and of syncing in a job."""

from __future__ import annotations

import json
import os
from typing import Any

from runferry.config.sync_place import job_options
from runferry.runs.folder import RunFolder
from runferry.sync import job_exchange
from runferry.sync.job_exchange import make_exchange, take_command
from runferry.sync.remote.connection import Site, ask, connected, parse_site
from runferry.sync.remote.frames import Line
from runferry.sync.remote.mirror import Listed, Mirror, read_list
from runferry.sync.remote.serving import folder_asked_for
from runferry.sync.slurm_job import JobPlace, sync_in_job
from support.errors.provoking import Row, World, cluster

CONNECTION, FRAMES, MIRROR, SERVING, JOB = (
    *(f"sync/remote/{name}.py" for name in ("connection", "frames", "mirror", "serving")),
    "sync/slurm_job.py",
)


def _line(said: bytes, *, end: bool = True) -> Line:
    """A line to one who has said something and listens to nothing."""
    source, sink = os.pipe()
    _, out = os.pipe()
    os.write(sink, said)
    if end:
        os.close(sink)
    return Line(source, out, 0.05)


def _closed(_: World) -> None:
    source, sink = os.pipe()
    os.close(source)
    Line(source, sink).write(b"x")


def _frame(words: str, said: bytes, *, end: bool = True) -> Row:
    return Row(FRAMES, words, lambda _: _line(said, end=end).receive())


def _shell(words: str, script: str) -> Row:
    def provoke(world: World) -> None:
        program = world.program("ssh", script)
        with connected(Site("narval", "results", ssh=(str(program),))):
            pass

    return Row(CONNECTION, words, provoke)


def _listed(words: str, header: dict[str, Any], body: bytes = b"") -> Row:
    def provoke(_: World) -> None:
        source, sink = os.pipe()
        Line(source, sink).send(header, body)
        read_list(Line(source, os.pipe()[1], 1))

    return Row(MIRROR, words, provoke)


def _not_asked_for(world: World) -> None:
    line = _line(b'{"file": "e/r/trained.json", "offset": 0}\n')
    Mirror(world.tmp / "mirror").fetch(line, [Listed("e/r/run.json", 1, 1)], lambda _: None)


def _in_job(words: str, script: str | None) -> Row:
    def provoke(world: World) -> None:
        folder = RunFolder(world.run())
        if script is None:
            world.patch.setenv("PATH", str(world.tmp))
        else:
            world.program("sbatch", script)
        sync_in_job([folder], JobPlace("internet", None, 30), [], lambda _: None)

    return Row(JOB, words, provoke)


def _no_key(world: World) -> None:
    world.patch.setattr(job_exchange, "KEY_SECONDS", -1.0)
    take_command(make_exchange(world.tmp / "results", ["sync"]))


def _no_partition(_: World) -> None:
    section = {"where": "job", "partition": None, "job_time": "30m"}
    job_options({"sync": section}, cluster("narval"), None)


ROWS = [
    Row("config/sync_place.py", "found job, expected login or remote", _no_partition),
    Row("sync/job_exchange.py", "found no answer of the submitter", _no_key),
    Row(
        CONNECTION,
        "a host and its folder of results",
        lambda _: parse_site("-oProxyCommand=x:y", program="", ssh="ssh"),
    ),
    Row(CONNECTION, "found that it answers", lambda _: ask(_line(b'{"error": "no"}\n', end=False), {"op": "list"})),
    _shell("that the login shell prints", "while echo welcome; do :; done 2>/dev/null"),
    _shell("found that ssh does not connect", "exit 255"),
    _shell("--program says where it is", "exit 127"),
    _shell("whether --program is a runferry of this version", "exit 1"),
    _shell("instead of what refuses it", 'echo "rejected: runferry serve-results results"'),
    Row(FRAMES, "found it closed", _closed),
    _frame("a frame of runferry's", b"hello\n"),
    _frame("cannot be unpacked", b'{"body": 4}\nnone'),
    _frame("expected a shorter first line", b"x" * 65_530 + b"x" * 6, end=False),
    _frame("found its end", b""),
    _frame("connection: found nothing", b"", end=False),
    _listed("expected runs, <experiment>/<run>", {"run": "../x"}),
    _listed("expected a file of a run", {"run": "e/r"}, json.dumps([["../../.ssh/authorized_keys", 1, 1]]).encode()),
    Row(MIRROR, "a file that was not asked for", _not_asked_for),
    Row(SERVING, "the folder of results", lambda world: folder_asked_for([world.tmp / "none"], None)),
    Row(SERVING, "this key is for nothing else", lambda world: folder_asked_for([world.tmp], "bash")),
    _in_job("refuses the sync job", "cat >/dev/null; echo 'Invalid partition' >&2; exit 1"),
    _in_job("found no answer", None),
]

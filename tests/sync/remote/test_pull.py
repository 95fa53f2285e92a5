"""`runferry pull`: runs come from a site over a line that may be cut, and the site has their receipts afterwards."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from runferry.runs.folder import RunFolder
from runferry.runs.receipt import holds
from support.cut_line import bytes_moved, connections, make_line
from support.pull_campaign import run
from support.pulling import pull, site_variables, trained_at
from support.sync_campaign import SHAPES, write_all
from support.written_runs import log_of, write_run, wrong

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "laptop" / "runs"
    folder.parent.mkdir()
    return folder


@pytest.mark.slow
def test_a_cut_line_is_gone_on_with_and_the_site_has_receipts(server, tmp_path: Path, mirror: Path) -> None:
    results, line = tmp_path / "site" / "results", tmp_path / "line"
    folders = trained_at(results, server)
    (folders[0].checkpoints_folder).mkdir(exist_ok=True)
    (folders[0].checkpoints_folder / "model.pt").write_bytes(os.urandom(10**6))
    grown = RunFolder(results / "experiment" / "running")
    shutil.copytree(folders[0].path, grown.path, symlinks=True, ignore=shutil.ignore_patterns("trained.json"))
    (grown.attempts_folder).mkdir()
    (grown.attempts_folder / "1.json").write_text('{"attempt": 1, "outcome": "running", "host": "c1", "segments": []}')
    # Once in the list, once in a file, once while it syncs here.
    cuts = [{"bytes": 1500}, {"bytes": 9000}, {"seconds": 1.5}, None]
    ssh = make_line(line, site_variables(tmp_path / "home"), cuts)

    done = pull(server, ssh, results, mirror)

    assert done.returncode == 0, done.stderr
    assert connections(line) == len(cuts)
    for folder in folders:
        assert wrong(server, folder) == []
        assert holds(folder, server.url), done.stderr
        assert folder.receipt_file.name == "receipt.json"
    assert not list(mirror.rglob("model.pt"))
    assert not (mirror / "experiment" / "running").exists()
    assert server.environment["WANDB_API_KEY"].encode() not in b"".join(
        file.read_bytes() for root in (results, tmp_path / "home") for file in root.rglob("*") if file.is_file()
    )
    segments = sum(file.stat().st_size for file in mirror.glob("*/*/wandb/**/*") if file.is_file())
    assert sum(bytes_moved(line)) <= 1.05 * segments

    again = pull(server, ssh, results, mirror)

    assert again.returncode == 0, again.stderr
    assert "0 of 0 runs verified" in again.stderr
    assert "2 had one before, 1 are training" in again.stderr


@pytest.mark.slow
def test_what_a_later_attempt_wrote_comes_behind_what_is_here(server, tmp_path: Path, mirror: Path) -> None:
    results, line = tmp_path / "site" / "results", tmp_path / "line"
    (folder, _) = trained_at(results, server)
    ssh = make_line(line, site_variables(tmp_path / "home"))
    assert pull(server, ssh, results, mirror).returncode == 0
    moved = sum(bytes_moved(line))
    write_run(sys.executable, folder, 30, first=21, rich=False)
    assert not holds(folder, server.url)

    done = pull(server, ssh, results, mirror)

    assert done.returncode == 0, done.stderr
    assert holds(folder, server.url)
    rows = [row["_step"] for row in server.run("demo", "tests", "one")["history"]]
    assert rows == list(range(30))
    later = sum(file.stat().st_size for file in folder.segments()[1].rglob("*") if file.is_file())
    assert sum(bytes_moved(line)) - moved <= 1.05 * later
    assert log_of(RunFolder(mirror / "experiment" / "one"), 1).read_bytes() == log_of(folder, 1).read_bytes()


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_where_the_line_is_cut_at_random(tmp_path: Path) -> None:
    """Two seeds of `support.pull_campaign`, the second of which kills the pull, too."""
    original = write_all(tmp_path / "original", ["0.31.0"])
    found = run(range(2), original, tmp_path)
    assert found["runs"] == 2 * len(SHAPES)
    assert not found.keys() - {"runs", "kB moved", "kB of segments"}, found

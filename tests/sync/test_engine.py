"""Many runs in one sync, and one run of a rule."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runferry.errors import ServerError
from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.trackers.api_keys import HOLDER_VARIABLE
from support.limits import LAG
from support.sync_processes import QUICK, sync_process
from support.written_runs import ROWS, log_of, receipt, rows_of, wrong

pytestmark = pytest.mark.usefixtures("connected")


def test_many_at_once_cost_one_wandb_sync(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    log = tmp_path / "log"
    log.mkdir()
    processes = [
        sync_process(folder.path, options=("--with-trained", "--log", str(log / folder.path.name)))
        for folder in folders
    ]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    for folder in folders:
        assert wrong(server, folder) == []
    # Before and after each `wandb sync` the server is asked once for all of its runs; again, where it counts late.
    assert LAG or server.requests()["counts"]["graphql:RunferryRuns"] == 2


def test_a_rule_for_one_run_syncs_what_else_is_trained_and_nothing_else(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    folders[2].trained_file.unlink()
    (outcome,) = sync(folders[:1], QUICK, with_trained=True)
    assert outcome.problem is None
    assert wrong(server, folders[1]) == []
    assert rows_of(server, folders[2]) == []
    # Snakemake would remove a receipt before it runs the rule. So the other run's rule finds another file.
    assert [receipt(folder) is not None for folder in folders] == [True, False, False]
    server.clear_requests()
    assert sync(folders[1:2], QUICK, with_trained=True)[0].problem is None
    assert server.requests()["total"] == 0
    assert receipt(folders[1])["run"] == folders[1].path.name


def test_of_a_run_whose_pack_still_trains_nothing_is_kept_that_only_a_sync_needs(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    for folder in folders[1:]:
        folder.trained_file.rename(folder.finished_file)
    folders[2].finished_file.unlink()
    assert [outcome.problem for outcome in sync(folders, QUICK)] == [None] * len(folders)
    # The last one may go on: what wandb noted for its next sync stays.
    left = [[*folder.path.glob("wandb/*/logs/debug*"), *folder.path.glob("wandb/*/*.syncstate")] for folder in folders]
    assert [bool(files) for files in left] == [False, False, True]


@pytest.mark.parametrize("orphaned", [True, False])
def test_that_a_rule_has_no_key_is_not_remembered_where_its_snakemake_was_killed(
    written, server, tmp_path, monkeypatch, orphaned
):
    folders = written.copied_to(tmp_path / "results")
    with monkeypatch.context() as there:
        there.delenv("WANDB_API_KEY")
        there.setenv("HOME", str(tmp_path))
        there.delenv("NETRC", raising=False)
        if orphaned:
            there.setenv(HOLDER_VARIABLE, "999999999-1-3")
        with pytest.raises(ServerError, match="found no key"):
            sync(folders[:1], QUICK, with_trained=True)
    if orphaned:
        assert sync(folders[1:2], QUICK, with_trained=True)[0].problem is None
    else:
        with pytest.raises(ServerError, match="found no key"):
            sync(folders[1:2], QUICK, with_trained=True)


def test_a_rule_whose_receipt_is_there_imports_next_to_nothing(written, server, tmp_path):
    folder = written.copied_to(tmp_path / "results")[2]
    assert sync([folder], QUICK)[0].problem is None
    code, modules = _as_the_rule(folder, tmp_path)
    assert code == "0"
    assert (
        not {"json", "re", "typing", "argparse", "pathlib", "psutil", "google.protobuf", "runferry.cli.main", "wandb"}
        & modules
    )
    # A run that has grown since is not settled.
    with log_of(folder).open("ab") as file:
        file.write(b"more")
    _, modules = _as_the_rule(folder, tmp_path)
    assert "runferry.sync.engine" in modules


def _as_the_rule(folder: RunFolder, tmp_path: Path) -> tuple[str, set[str]]:
    """What `runferry sync` returns when the rule calls it, and the modules it imported."""
    log = tmp_path / "sync.log"
    arguments = ["sync", "--with-trained", "--log", str(log), str(folder.path)]
    code = (
        f"import sys; sys.argv[1:] = {arguments}; from runferry.cli.fast_start import main; print(main(), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    returned, *modules = done.stdout.split()
    return returned, set(modules)


def test_json_says_what_was_sent_and_what_became_of_each_run(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    process = sync_process(tmp_path / "results", options=("--json",))
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    events = [json.loads(line) for line in out.splitlines()]
    sent = [event for event in events if event["event"] == "sent"][-1]
    assert (sent["of"]["runs"], sent["of"]["records"]) == (3, 3 * ROWS)
    assert {event["run"]: event["verified"] for event in events if event["event"] == "run"} == {
        folder.path.name: True for folder in folders
    }

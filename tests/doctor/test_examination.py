"""`runferry doctor`: what each check makes of what a site's programs say, and that nothing keeps it waiting."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace

from runferry.doctor.checking import run_checks
from runferry.doctor.examination import login_checks
from support.doctored import KEY, doctor
from support.paths import ROOT


def test_the_whole_writes_a_file_each_time_and_shows_the_same_as_json(server, tmp_path):
    profile = ["--profile", str(ROOT / "profiles" / "local")]
    variables = {**server.environment, "PIP_CONFIG_FILE": os.devnull}
    done, _ = doctor(*profile, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    again, _ = doctor(*profile, "--json", **variables)
    record = json.loads(again.stdout)
    assert record["cluster"] == "local"
    assert {"storage", "locks", "W&B"} <= {finding["about"] for finding in record["findings"]}
    first, second = sorted(tmp_path.glob("runferry-doctor-local-*.md"), key=lambda file: len(file.name))
    assert second.name == f"{first.stem}-2.md"
    text = first.read_text()
    assert "| ok | W&B: key | the one from WANDB_API_KEY is valid |" in text
    assert "## Not as expected\n\nNothing.\n" in text
    assert KEY not in done.stdout + done.stderr + again.stdout + again.stderr + text
    named, _ = doctor(*profile, "--output", "report.json", **variables)
    assert named.returncode == 0
    assert json.loads((tmp_path / "report.json").read_text()).keys() == record.keys()


def test_each_check_has_less_than_a_minute(site):
    assert len(login_checks(site, [])) == 8
    assert all(check.seconds < 60 for check in login_checks(site, []))


def test_programs_that_hang_are_lines_and_keep_nothing_else_waiting(programs, site, monkeypatch):
    for name in ("scontrol", "sinfo", "sacctmgr", "sbatch", "diskusage_report", "avail_wheels"):
        programs(name, "sleep 100")
    monkeypatch.setenv("BASH_FUNC_module%%", "() { sleep 100; }")
    checks = [replace(check, seconds=2.0) for check in login_checks(site, []) if check.about != "W&B"]
    begin = time.monotonic()
    found = run_checks(checks)
    assert time.monotonic() - begin < 5
    assert {finding.about for finding in found if finding.found == "no answer within 2 s"} == {
        *("modules", "wheelhouse", "Slurm", "accounts", "storage")
    }
    assert {"ok"} < {finding.mark for finding in found if finding.about in {"storage", "locks"}}


def test_a_black_hole_in_the_servers_place_costs_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        variables = {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "PIP_CONFIG_FILE": os.devnull}
        done, seconds = doctor("--profile", str(ROOT / "profiles" / "local"), "--json", **variables)
    assert seconds < 30
    assert done.returncode == 1
    said = {(finding["about"], finding["found"]) for finding in json.loads(done.stdout)["findings"]}
    assert ("W&B", f"{url}: no answer within 8 s") in said
    assert KEY not in done.stdout + done.stderr

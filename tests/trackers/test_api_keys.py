"""The key that is put away: found by `runferry sync`, by no job, and in no file."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runferry.trackers import api_keys
from runferry.trackers.wandb.login import find_server, job_finds_key

KEY = "fedcba9876" * 4
HELD = [sys.executable, "-c", "from runferry.trackers.api_keys import held_key; print(held_key())"]
PUT_AWAY = """
import os, subprocess, sys
from runferry.trackers import api_keys
api_keys.put_away()
assert "WANDB_API_KEY" not in os.environ
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "NETRC", api_keys.HOLDER_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def _under_a_controller(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PUT_AWAY, *command],
        env=os.environ | {"WANDB_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_child_finds_the_key_through_a_shell_too():
    assert _under_a_controller(*HELD).split() == [KEY]
    assert _under_a_controller("bash", "-c", f'{HELD[0]} -c "{HELD[2]}"; true').split() == [KEY]


def test_a_child_inherits_nothing_that_holds_it():
    code = """
import os
from pathlib import Path
for fd in os.listdir("/proc/self/fd"):
    print(os.readlink(f"/proc/self/fd/{fd}") if os.path.exists(f"/proc/self/fd/{fd}") else "")
print(Path("/proc/self/environ").read_bytes(), Path("/proc/self/cmdline").read_bytes())
"""
    seen = _under_a_controller(sys.executable, "-c", code)
    assert KEY not in seen
    assert "memfd" not in seen
    assert api_keys.HOLDER_VARIABLE in seen


def test_a_process_that_is_not_below_the_holder_gets_nothing(monkeypatch):
    with subprocess.Popen(
        [sys.executable, "-c", PUT_AWAY, "bash", "-c", f"echo ${api_keys.HOLDER_VARIABLE}; read"],
        env=os.environ | {"WANDB_API_KEY": KEY},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as controller:
        assert controller.stdout
        holder = controller.stdout.readline().strip()
        assert int(holder.split("-")[0]) == controller.pid
        monkeypatch.setenv(api_keys.HOLDER_VARIABLE, holder)
        assert api_keys.held_key() is None
        controller.communicate("\n")


@pytest.mark.parametrize("holder", ["", "x", "1-2", "999999999-1-3", "{this}-1-3"])
def test_a_holder_that_has_gone_is_none(monkeypatch, holder):
    # The last: a process with that number, which started at another time.
    monkeypatch.setenv(api_keys.HOLDER_VARIABLE, holder.format(this=os.getpid()))
    assert api_keys.held_key() is None


@pytest.fixture
def put_away(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    # So that it is undone.
    monkeypatch.setenv(api_keys.HOLDER_VARIABLE, "")
    api_keys.put_away()
    assert "WANDB_API_KEY" not in os.environ
    yield
    os.close(int(os.environ[api_keys.HOLDER_VARIABLE].rsplit("-", 1)[1]))


def test_the_server_is_asked_with_it(put_away, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text(f"machine w.example login user password {'0' * 40}")
    found = find_server("https://w.example")
    assert (found.key, found.key_source) == (KEY, "WANDB_API_KEY")
    # One that is set after all wins.
    monkeypatch.setenv("WANDB_API_KEY", "1" * 40)
    assert find_server("https://w.example").key == "1" * 40


def test_putting_away_twice_changes_nothing(put_away):
    api_keys.put_away()
    assert api_keys.held_key() == KEY


def test_a_key_that_jobs_need_stays(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    api_keys.put_away(needed_in_jobs=True)
    assert os.environ["WANDB_API_KEY"] == KEY
    assert api_keys.HOLDER_VARIABLE not in os.environ


def test_a_job_needs_it_only_where_netrc_has_another_or_none(monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    assert job_finds_key("https://w.example"), "there is no key to find"
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert not job_finds_key("https://w.example")
    netrc.write_text(f"machine w.example login user password {KEY}")
    assert job_finds_key("https://w.example")
    assert not job_finds_key("https://other.example")
    netrc.write_text(f"machine w.example login user password {'0' * 40}")
    assert not job_finds_key("https://w.example")
    netrc.write_text("machine\n")
    assert not job_finds_key("https://w.example")


def test_a_process_knows_whether_the_one_that_put_its_key_away_has_ended(monkeypatch):
    code = "from runferry.trackers.api_keys import has_lost_holder; print(has_lost_holder())"
    assert _under_a_controller(sys.executable, "-c", code).split() == ["False"]
    assert not api_keys.has_lost_holder()
    monkeypatch.setenv(api_keys.HOLDER_VARIABLE, "999999999-1-3")
    assert api_keys.has_lost_holder()

"""Programs, folders and servers that `runferry doctor` examines in the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from runferry.doctor import submission
from runferry.doctor.site import find_site
from runferry_standin import running
from support.paths import ROOT
from support.slurm_stub import path_without_slurm

KEY = "fedcba9876" * 4
# As the real one prints it, on stderr.
TESTED = "sbatch: Job 5 to start at 2026-11-24T19:42:23 using 2 processors on nodes c1 in partition standard"
REFUSED = "allocation failure: Requested time limit is invalid (missing or exceeds some limit)"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith(("WANDB_", "SLURM", "SBATCH_", "CC_", "PIP_", "SINFO_", "NETRC", "RUNFERRY_")):
            monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "SCRATCH", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    return path_without_slurm(tmp_path_factory.mktemp("laptop") / "bin")


@pytest.fixture
def programs(tmp_path, monkeypatch, laptop):
    """Give a function that puts a shell script onto a PATH without Slurm; scripts find `$FOLDER`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{laptop}")
    monkeypatch.setenv("FOLDER", str(tmp_path))

    def put(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def site(tmp_path):
    return find_site(str(ROOT / "profiles" / "narval"), None, (), tmp_path)


def of_cluster(name, tmp_path, account=None):
    return find_site(str(ROOT / "profiles" / name), account, (), tmp_path)


def marks(findings):
    return {finding.what: finding.mark for finding in findings}


def one(findings, what):
    (found,) = [finding for finding in findings if finding.what == what]
    return found


@pytest.fixture
def sbatch(programs, tmp_path, monkeypatch):
    """Stubs of sacctmgr and sbatch, which refuses what is over 10080 minutes; give what sbatch was asked."""
    monkeypatch.setattr(submission, "PAUSE", 0.0)
    programs(
        "sacctmgr",
        "case \"$*\" in *qos*) printf '%s\\n' '|' '1000|';; *format=Max*) printf '|\\n|\\n';; "
        "*) printf '%s\\n' def-me_cpu def-me_gpu rrg-you_gpu;; esac",
    )
    programs(
        "sbatch",
        f"""
        echo "$WANDB_API_KEY|$*" >>"$FOLDER/asked"
        case "$*" in *--time=10081*) echo '{REFUSED}' >&2; exit 1;; esac
        echo '{TESTED}' >&2""",
    )
    return tmp_path / "asked"


@pytest.fixture(scope="module")
def server():
    with running(key=KEY) as standin:
        yield standin


def doctor(*words, **variables):
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "doctor", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, time.monotonic() - begin

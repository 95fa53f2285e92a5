"""The account that pays, by the name that this Slurm has for it."""

from __future__ import annotations

import pytest

from runferry.config.account import given_account, known_accounts, resolve_account
from runferry.config.cluster import find_cluster
from runferry.errors import AccountError

BOTH = ["def-a_cpu", "def-a_gpu", "rrg-b_gpu"]
NARVAL, MILA = find_cluster("narval"), find_cluster("mila")


@pytest.fixture(autouse=True)
def _no_account(monkeypatch):
    for name in ("SBATCH_ACCOUNT", "SLURM_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("config", "variables", "account"),
    [
        ("def-a", {"SBATCH_ACCOUNT": "def-b"}, "def-a"),
        (None, {"SBATCH_ACCOUNT": "def-b", "SLURM_ACCOUNT": "def-c"}, "def-b"),
        (None, {"SBATCH_ACCOUNT": "", "SLURM_ACCOUNT": "def-c"}, "def-c"),
        (" ", {}, None),
    ],
)
def test_the_config_comes_before_the_environment(monkeypatch, config, variables, account):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert given_account({"account": config}) == account


@pytest.mark.parametrize(
    ("given", "gpu", "account"),
    [
        ("def-a", True, "def-a_gpu"),
        ("def-a", False, "def-a_cpu"),
        ("DEF-A", False, "def-a_cpu"),
        ("def-a_gpu", True, "def-a_gpu"),
        ("def-a_gpu", False, "def-a_gpu"),
        ("rrg-b", True, "rrg-b_gpu"),
    ],
)
def test_the_name_is_the_one_that_this_slurm_knows(given, gpu, account):
    assert resolve_account(given, NARVAL, BOTH, gpu=gpu) == account


def test_a_name_without_suffix_stays_where_slurm_knows_it():
    assert resolve_account("def-a", NARVAL, ["def-a"], gpu=True) == "def-a"


def test_without_a_slurm_the_account_is_taken_as_it_is():
    assert resolve_account("def-a", NARVAL, [], gpu=True) == "def-a"


@pytest.mark.parametrize(
    ("given", "known", "said"),
    [
        (None, BOTH, "found none, expected one such as def-<pi> or rrg-<pi> or rpp-<pi>"),
        (None, BOTH, "yours are def-a_cpu, def-a_gpu, rrg-b_gpu"),
        (None, [], "set account in the config"),
        (
            "def-x",
            BOTH,
            "found 'def-x', which this Slurm does not let you use for a CPU job, expected one of yours",
        ),
        ("rrg-b", BOTH, "found 'rrg-b'"),
    ],
)
def test_none_or_an_unknown_one_is_refused(given, known, said):
    with pytest.raises(AccountError) as caught:
        resolve_account(given, NARVAL, known, gpu=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_none_is_needed_the_only_one_is_taken_and_nothing_is_guessed():
    assert resolve_account(None, MILA, ["lab"], gpu=True) == "lab"
    assert resolve_account(None, MILA, [], gpu=True) is None
    with pytest.raises(AccountError, match=r"found none, expected one; .*yours are lab, other"):
        resolve_account(None, MILA, ["lab", "other"], gpu=True)


def _tool(folder, name, script):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("tools", "known"),
    [
        ({}, []),
        ({"sacctmgr": "printf '  def-a_gpu \\n def-a_cpu\\n def-a_cpu\\n\\n'"}, ["def-a_cpu", "def-a_gpu"]),
        ({"sacctmgr": "exit 0", "sshare": "echo def-b"}, ["def-b"]),
        ({"sacctmgr": "echo def-a; exit 1", "sshare": "echo def-b"}, ["def-b"]),
        ({"sacctmgr": "exit 1"}, []),
    ],
)
def test_slurm_is_asked_as_the_plugin_asks(tmp_path, monkeypatch, tools, known):
    for name, script in tools.items():
        _tool(tmp_path, name, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert known_accounts() == known


@pytest.mark.parametrize(
    ("given", "suffix", "known", "account"),
    [
        ("xyz", "@h100", [], "xyz@h100"),
        ("xyz@v100", "@h100", ["xyz@h100", "xyz@v100"], "xyz@h100"),
        ("xyz@h100", "@h100", ["xyz@h100"], "xyz@h100"),
    ],
)
def test_each_kind_of_gpu_has_an_account_of_its_own_where_the_site_says_so(given, suffix, known, account):
    assert resolve_account(given, find_cluster("jeanzay"), known, gpu=True, suffix=suffix) == account

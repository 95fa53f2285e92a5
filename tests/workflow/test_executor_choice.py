"""Which executor the user has chosen."""

from __future__ import annotations

import pytest

from runferry.workflow.executor_choice import chosen_executor, note_on_executor


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    for profile, name, content in (
        ("profiles/narval", "config.yaml", "executor: runferry\n"),
        ("own/snakemake/lab", "profile.v9+.yaml", "jobs: 10\nexecutor: slurm\n"),
        ("both", "config.yaml", "executor: local\n"),
        ("both", "profile.yaml", "executor: slurm\n"),
        ("without", "config.yaml", "jobs: 1\n"),
        ("broken", "config.yaml", "executor: [\n"),
    ):
        (tmp_path / profile).mkdir(parents=True, exist_ok=True)
        (tmp_path / profile / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("all -n", None),
        ("--executor slurm all", "slurm"),
        ("-e local", "local"),
        ("--executor=slurm", "slurm"),
        ("--profile profiles/narval", "runferry"),
        ("--profile=profiles/narval/config.yaml", "runferry"),
        ("--profile profiles/narval --executor slurm", "slurm"),
        ("--profile profiles/narval --workflow-profile lab", "slurm"),
        ("--profile lab", "slurm"),
        ("--profile both", "slurm"),
        ("--profile without", None),
        ("--profile broken", None),
        ("--profile nowhere", None),
    ],
)
def test_the_command_line_counts_before_the_profiles(words, found):
    assert chosen_executor(words.split()) == found
    assert (note_on_executor(words.split()) is not None) == (found == "slurm")


def test_the_profile_may_be_a_variables(monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "lab")
    assert chosen_executor(["-n"]) == "slurm"

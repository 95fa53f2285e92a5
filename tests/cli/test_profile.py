"""Profiles that are used by their names, from any folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from runferry.config.cluster import cluster_names
from runferry.workflow.entry import keep_profiles_cluster
from support.paths import ROOT
from support.projects import Project
from support.slurm_stub import path_without_slurm


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """A repository of a user's: no Snakefile, no profiles; no Slurm, as on a laptop."""
    for name in ("SNAKEMAKE_PROFILE", "CC_CLUSTER", "SBATCH_ACCOUNT", "SLURM_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    made = Project(tmp_path / "own", {"HOME": str(tmp_path), "PATH": path_without_slurm(tmp_path / "path")})
    made.configure({"a": {"command": ["true"]}}, account="def-x")
    return made


def test_each_name_leads_to_a_folder_and_an_unknown_one_to_a_suggestion(project):
    listed = project.runferry("profile")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == cluster_names()
    narval = project.runferry("profile", "narval")
    assert Path(narval.stdout.strip()).samefile(ROOT / "profiles" / "narval")
    wrong = project.runferry("profile", "profiles/narval")
    assert wrong.returncode == 2
    assert "found 'profiles/narval', expected one of beluga, " in wrong.stderr
    assert wrong.stderr.endswith("(did you mean narval?); run: runferry profile\n")


@pytest.mark.slow
def test_a_profile_works_from_any_folder_and_keeps_its_cluster(project):
    snakemake = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules"]
    profile = project.runferry("profile", "narval").stdout.strip()
    mine = project.write("mine.yaml", yaml.safe_dump({"cluster": "fir", "wandb": {"tags": ["mine"]}}))
    for words in (["--profile", profile], ["--profile", profile, "--configfile", str(mine)]):
        done = project.run(*snakemake, *words)
        assert done.returncode == 0, done.stderr
        assert "Plan for Narval" in done.stderr
    project.environment["SNAKEMAKE_PROFILE"] = profile
    done = project.run(*snakemake, "--configfile", str(mine))
    assert "Plan for Narval" in done.stderr
    # What is said on the command line comes before the profile, as ever.
    done = project.run(*snakemake, "--configfile", str(mine), "--config", "cluster=fir")
    assert "Plan for Fir" in done.stderr
    done = project.runferry("plan", "--config", "account=def-y")
    assert "Plan for Narval" in done.stdout
    done = project.runferry("plan", "--profile", "rorqual")
    assert "Plan for Rorqual" in done.stdout
    del project.environment["SNAKEMAKE_PROFILE"]
    project.environment["CC_CLUSTER"] = "nibi"
    assert "Plan for Nibi" in project.runferry("plan").stdout


def test_a_snakemake_inside_a_job_has_the_cluster_of_the_one_that_the_user_started(monkeypatch):
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    monkeypatch.delenv("RUNFERRY_CLUSTER_OF_PROFILE", raising=False)
    monkeypatch.setattr(
        sys, "argv", ["snakemake", "--profile", str(ROOT / "profiles" / "mila"), "--configfile", "mine.yaml"]
    )
    outside, inside = {"cluster": "fir"}, {}
    keep_profiles_cluster(outside, controller=True)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--configfiles", "mine.yaml"])
    keep_profiles_cluster(inside, controller=False)
    assert outside == inside == {"cluster": "mila"}

"""Jobs that are tested and not submitted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runferry.doctor import submission
from support.doctored import KEY, REFUSED, TESTED, marks, of_cluster, one


def test_jobs_are_tested_and_none_is_submitted(sbatch, site, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    found = list(submission.accounts(replace(site, account="def-me")))
    assert {finding.mark for finding in found} == {"ok"}, found
    assert one(found, "yours").found == "def-me_cpu, def-me_gpu, rrg-you_gpu"
    assert one(found, "for GPU jobs").found == "def-me_gpu"
    assert one(found, "limits of a user's jobs").found == "1000"
    asked = [line.partition("|") for line in sbatch.read_text().splitlines()]
    assert len(asked) == 4
    assert all(key == "" and "--test-only" in words for key, _, words in asked)
    assert "--account=def-me_cpu" in asked[0][2]
    assert "--account=def-me_gpu --mem=1G --gpus=a100:1" in asked[1][2]
    assert one(found, "a longer job, 7d1m").found.startswith("refused, as expected")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("narval", "--gpus=a100:1"),
        ("tamia", "--gpus=h100:4"),
        ("killarney", "--gres=gpu:l40s:1"),
        ("trillium", "--gpus-per-node=1"),
        ("beluga", "--gpus-per-node=v100:1"),
    ],
)
def test_a_gpu_is_asked_for_as_the_facts_say_that_the_site_takes_it(name, option, tmp_path):
    assert submission.gpu_option(of_cluster(name, tmp_path)) == [option]


def test_an_account_that_is_not_the_users_is_a_problem_before_anything_is_tested(sbatch, site):
    found = list(submission.accounts(replace(site, account="def-nobody")))
    assert marks(found)["for CPU jobs"] == "problem"
    assert marks(found)["a CPU job of 5m"] == "unknown"
    assert not sbatch.exists()


def test_what_slurm_refuses_and_what_it_takes_against_the_facts_are_named(sbatch, programs, tmp_path):
    # Trillium refuses --mem, and takes 24 h; this one neither.
    programs("sbatch", f"case \"$*\" in *--time=1440*) echo '{REFUSED}' >&2; exit 1;; esac; echo '{TESTED}'")
    found = list(submission.accounts(of_cluster("trillium", tmp_path)))
    assert marks(found)["the longest job, 1d"] == "problem"
    assert one(found, "the longest job, 1d").found == f"failed (exit code 1) and said: {REFUSED}"
    assert marks(found)["a longer job, 1d1m"] == "differs"
    assert marks(found)["a shorter job, 14m"] == "differs"
    assert marks(found)["a job that says --mem"] == "differs"
    assert one(found, "limits of a user's jobs").expected == "500 among them"
    assert one(found, "a CPU job of 15m").mark == "ok"

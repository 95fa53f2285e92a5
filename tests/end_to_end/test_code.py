"""What is queued is what runs: the code in records and receipts, in the plan, and pinned."""

from __future__ import annotations

import json
import sys

from runferry_standin import running

TRAIN = """
import helper, wandb
run = wandb.init()
run.log({"v": helper.V})
run.finish()
"""


def _records(project, name):
    return [json.loads(file.read_text()) for file in sorted(project.folder.glob(f"results/a/*/{name}"))]


def test_receipts_name_the_code_and_the_plan_says_what_has_changed_since(project, grid):
    project.write("train.py", TRAIN)
    project.write("helper.py", "V = 1\n")
    experiments = {"a": {"sweep": grid(2, [sys.executable, "train.py", "${args}"])}}
    project.configure(experiments)
    with running() as server:
        project.environment |= server.environment
        done = project.snakemake()
        assert done.returncode == 0, done.stderr
        said = "code: a job runs the files as they are when it starts"
        assert said in done.stderr
        codes = [receipt["code"] for receipt in _records(project, "receipt.json")]
        assert codes == [[{**trained["code"], "attempts": [1]}] for trained in _records(project, "trained.json")]
        assert len({code[0]["digest"] for code in codes}) == 1
        project.write("helper.py", "V = 2\n")
        dry = project.snakemake("-n")
        line = "code: helper.py has changed since 2 runs of a were trained; --forcerun train trains them again"
        assert line in dry.stderr
        assert project.planned("train_all") == {}
        # As the line says; and from a snapshot, though the file is edited while the jobs wait.
        project.configure(experiments, code="pinned")
        plan = project.snakemake("-n").stderr
        assert "code: pinned: jobs of this start run" not in plan
        project.snakemake("results/a/runs.tsv")
        done = project.snakemake("--forcerun", "train")
        assert done.returncode == 0, done.stderr
        assert "code: pinned: jobs of this start run" in done.stderr
    assert all(record["code"]["pinned"] for record in _records(project, "trained.json"))
    assert {code["pinned"] for receipt in _records(project, "receipt.json") for code in receipt["code"]} == {
        True,
        False,
    }
    assert line not in project.snakemake("-n").stderr

"""Rules of a workflow that uses this one as a module: under `executor: runferry` they are the Slurm plugin's own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.paths import ROOT
from support.slurm.ending_early import TRAIN, assert_held_once, experiment, run_of, wait_until
from support.slurm.user import PLUGIN, User

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MODULE = """
module training:
    snakefile: "{workflow}"
    config: {config}
    pathvars:
        results="results",
        logs="logs",

use rule * from training as training_*
"""
# One that ends well, one that fails, one that lasts; their outputs are named as a training's are.
RULES = """
rule own:
    default_target: True
    input: "own/a/trained.json", "own/b/trained.json", "own/c/trained.json", {more}
    localrule: True

rule ends:
    output: "own/a/trained.json"
    resources: mem_mb=300, runtime=7, slurm_account="def-test_cpu", slurm_extra="--nice=3"
    threads: 2
    shell: "touch {{output}}"

rule fails:
    output: "own/b/trained.json"
    resources: mem_mb=300, runtime=7, slurm_account="def-test_cpu"
    retries: 1
    shell: "echo try >>tries; exit 3"

rule lasts:
    output: "own/c/trained.json"
    resources: mem_mb=300, runtime=7, slurm_account="def-test_cpu"
    shell: "touch lasting; sleep 300; touch {{output}}"
"""
# Writes down what it is called with, and is the real one.
SBATCH = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >"{folder}/$(date +%s%N)"
exec {real} "$@"
"""


class Foreign(User):
    """A person with a workflow of their own: with the module under our executor, or without it under the plugin's."""

    def __init__(self, folder: Path, cluster: Any, *, module: bool, **environment: str) -> None:
        super().__init__(folder, cluster, TRAIN, **environment)
        name = "runferry" if module else "slurm"
        self.options = [*([] if module else PLUGIN), f"--{name}-init-seconds-before-status-checks", "1"]
        (folder / "calls").mkdir()
        (folder / "bin").mkdir()
        program = folder / "bin" / "sbatch"
        program.write_text(SBATCH.format(folder=folder / "calls", real=shutil.which("sbatch")))
        program.chmod(0o755)
        self.environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{self.environment['PATH']}"
        config = {
            "cluster": "narval",
            "wandb": {"project": "tests"},
            "experiments": {"one": experiment(self, 5, 0.1)},
        }
        used = MODULE.format(workflow=ROOT / "workflow" / "Snakefile", config=config) if module else ""
        rules = RULES.format(more="rules.training_all.input" if module else "")
        (folder / "Snakefile").write_text(used + rules)

    def begin(self, *targets: str) -> subprocess.Popen[str]:
        return self.start("narval", "--snakefile", str(self.folder / "Snakefile"), *self.options, "--", *targets)

    @property
    def log(self) -> str:
        return (self.folder / "controller.log").read_text()

    def submissions(self, rule: str) -> list[list[str]]:
        """The words that sbatch got for each job of a rule, sorted; ids and folders of this start left out."""
        calls = [file.read_text() for file in sorted((self.folder / "calls").iterdir())]
        found = [text for text in calls if f"\nrule_{rule}\n" in text]
        hidden = [re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text) for text in found]
        hidden = [re.sub(r"\S*\.snakemake/\S+|/tmp/\S+|\btmp[a-z0-9_]{8}\b", "PATH", text) for text in hidden]
        return [sorted(text.split()) for text in hidden]


def test_rules_of_ones_own_beside_the_module_are_the_plugins_in_everything(tmp_path, cluster, server):
    users = {
        "slurm": Foreign(tmp_path / "slurm", cluster, module=False, **server.environment),
        "runferry": Foreign(tmp_path / "runferry", cluster, module=True, **server.environment),
    }
    seen: dict[str, dict[str, Any]] = {}
    controllers = {name: user.begin() for name, user in users.items()}
    try:
        for user in users.values():
            wait_until((user.folder / "lasting").exists, f"the job that lasts: {user.log}")
            cluster.run("scancel", _job_of(user, "lasts"))
        for name, user in users.items():
            assert controllers[name].wait(200) == 1, user.log
            seen[name] = {
                "ended": (user.folder / "own" / "a" / "trained.json").exists(),
                "tries": (user.folder / "tries").read_text().split(),
                "submissions": {rule: user.submissions(rule) for rule in ("ends", "fails", "lasts")},
                "errors": sorted(set(re.findall(r"Error in rule (\w+):", user.log))),
            }
        assert seen["slurm"]["ended"]
        assert len(seen["slurm"]["tries"]) >= 2
        assert [len(calls) for calls in seen["slurm"]["submissions"].values()] == [1, 2, 1]
        # The job bears the name of the start, as the plugin has it, and is a Snakemake.
        (call,) = seen["slurm"]["submissions"]["ends"]
        assert {"--job-name", "ID", "--nice=3", "snakemake", "slurm-jobstep"} <= set(call)
        assert seen["slurm"]["errors"] == ["fails", "lasts"]
        assert seen["runferry"] == seen["slurm"]
        # And the module's run has been trained and synced.
        run = run_of(users["runferry"], "one")
        assert assert_held_once(server, run)["state"] == "finished"
        assert (run / "receipt.json").exists()

        # Ctrl-C cancels at once what the plugin alone has submitted.
        for user in users.values():
            (user.folder / "lasting").unlink()
        controllers = {name: user.begin("own/c/trained.json") for name, user in users.items()}
        took: dict[str, float] = {}
        for name, user in users.items():
            wait_until((user.folder / "lasting").exists, f"the job that lasts: {user.log}")
            begin = time.monotonic()
            os.kill(controllers[name].pid, signal.SIGINT)
            assert controllers[name].wait(60) != 0
            took[name] = time.monotonic() - begin
            wait_until(lambda user=user: user.jobs() == [], "the end of the job")
            assert "about to cancel" not in user.log
        assert took["runferry"] < took["slurm"] + 5
    finally:
        for controller in controllers.values():
            controller.kill()


def _job_of(user: User, rule: str) -> str:
    queue = user.cluster.run("squeue", "--noheader", "--format=%i|%k|%Z").splitlines()
    (job,) = [line.partition("|")[0] for line in queue if line.endswith(f"|rule_{rule}|{user.folder}")]
    return job

"""The wrappers, tested as snakemake-wrappers tests its own: the test's Snakefile in a copy, found by a prefix.

Its `run` has Snakemake make each wrapper's environment with conda, which is not here; so these run in the environment
of the tests, and what an environment.yaml names is read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from runferry import __version__
from runferry.environment.archive import unpack
from runferry_standin import running
from support.projects import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runferry_standin import StandIn

WRAPPERS = ROOT / "workflow" / "wrappers"
STEPS = ["environment", "train", "sync"]
META = "meta/train_and_sync"


@pytest.fixture
def server(project, wheels) -> Iterator[StandIn]:
    with running() as standin:
        project.environment |= standin.environment | {
            "WANDB_ERROR_REPORTING": "false",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            # As where the environment that has Snakemake and wandb is activated.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        yield standin


@pytest.fixture
def run(project, server) -> Callable[..., Path]:
    """Run targets of a wrapper's test/Snakefile; returns the folder in which they are."""
    # As in the repository of snakemake-wrappers, whose tests name its branch `master`.
    (project.folder / "master").symlink_to(ROOT)
    # A meta-wrapper names the version of its wrappers.
    (project.folder / f"v{__version__}").symlink_to(ROOT)

    def run(wrapper: str, *targets: str) -> Path:
        shutil.copytree(WRAPPERS / wrapper, project.folder, dirs_exist_ok=True)
        project.folder /= "test"
        prefix = f"file://{project.folder.parent}/"
        done = _snakemake(project, "--wrapper-prefix", prefix, *targets)
        assert done.returncode == 0, done.stdout + done.stderr
        return project.folder

    return run


def _snakemake(project, *words: str) -> subprocess.CompletedProcess[str]:
    # One core, as there: one job after the other.
    options = ["--cores", "1", "--printshellcmds", "--show-failed-logs", "--force"]
    return project.run(*project.snakemake_command(project.folder / "Snakefile", profile=False), *options, *words)


def _as_trained(project, folder: Path) -> None:
    """Leave in a folder what the wrapper `train` leaves there."""
    script = WRAPPERS / "train" / "test" / "train.py"
    command = ["python", str(script), "--learning_rate=0.5"]
    done = project.runferry("launch", str(folder), "--project", "wrapper-test", "--", *command)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [*STEPS, META])
def test_each_has_the_files_that_snakemake_wrappers_asks_for(name):
    folder = WRAPPERS / name
    described = yaml.safe_load((folder / "meta.yaml").read_text())
    assert all(described[key] for key in ("name", "description", "authors"))
    assert (folder / "test" / "Snakefile").is_file()
    if name == META:
        used = yaml.safe_load((folder / "used_wrappers.yaml").read_text())["wrappers"]
        assert used == [f"workflow/wrappers/{step}" for step in STEPS]
        text = (folder / "meta_wrapper.smk").read_text()
        assert [line.strip() for line in text.splitlines() if "/wrappers/" in line] == [
            f'"v{__version__}/{wrapper}"' for wrapper in used
        ]
        return
    assert all(described[key] for key in ("url", "input", "output"))
    environment = yaml.safe_load((folder / "environment.yaml").read_text())
    # As its guide says: first conda-forge, last nodefaults.
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    packages = environment["dependencies"]
    assert [package.split()[0] for package in packages[:-1]] == ["python", "pip"]
    assert [package.split()[0] for package in packages[-1]["pip"]] == ["runferry"]


@pytest.mark.slow
def test_environment_packs_what_a_job_can_unpack(run, tmp_path):
    folder = run("environment", "results/environments/default.json", "results/environments/wheelhouse.json")
    records = [json.loads(file.read_text()) for file in sorted(folder.glob("results/environments/*.json"))]
    assert len(records) == 2
    unpacked = unpack(folder / "results" / "environments" / "default.json", tmp_path / "node")
    printed = subprocess.check_output(
        [unpacked / "bin" / "python", "-c", "import tabulate; print(tabulate.__file__)"], text=True
    )
    assert printed.startswith(str(unpacked))
    assert "tabulate" in (folder / "logs" / "environment.log").read_text()


@pytest.mark.slow
def test_train_leaves_a_run_that_sync_gives_a_receipt(run, project, server):
    folder = run("train", "results/line/0.5/trained.json")
    assert "attempt 1 of run" in (folder / "results" / "line" / "0.5" / "train.log").read_text()
    synced = project.runferry("sync", "results")
    assert synced.returncode == 0, synced.stderr
    (held,) = [server.run("demo", "wrapper-test", name) for name in server.runs("demo", "wrapper-test")]
    assert [row["loss"] for row in held["history"]] == [0.5**step for step in range(10)]
    assert held["config"]["learning_rate"] == 0.5


@pytest.mark.slow
def test_sync_writes_a_receipt_and_what_is_trained_goes_along(run, project, server):
    for name in ("a", "b"):
        _as_trained(project, project.folder / "test" / "results" / "line" / name)
    folder = run("sync", "results/line/a/receipt.json")
    assert json.loads((folder / "results/line/a/receipt.json").read_text())["server"]["history_lines"] == 10
    assert (folder / "results/line/b/interim-receipt.json").is_file()
    assert len(server.runs("demo", "wrapper-test")) == 2
    assert "1 of 1 run verified" in (folder / "logs" / "sync" / "a.log").read_text()


@pytest.mark.slow
def test_the_meta_wrapper_is_the_three_in_turn(run, server):
    folder = run(META, "all")
    receipts = sorted(folder.glob("results/line/*/receipt.json"))
    assert [file.parent.name for file in receipts] == ["0.03", "0.1"]
    for receipt in receipts:
        attempt = json.loads((receipt.parent / "attempts" / "1.json").read_text())
        # It ran in the environment that was built, not in that of the tests.
        assert attempt["environment"]
    assert len(server.runs("demo", "wrapper-test")) == 2


def test_an_output_of_another_name_is_one_line_that_says_what_is_expected(project, tmp_path):
    (tmp_path / "master").symlink_to(ROOT)
    for step, output in (("train", "model.pt"), ("sync", "done.txt")):
        text = (WRAPPERS / step / "test" / "Snakefile").read_text()
        named = "trained.json" if step == "train" else "receipt.json"
        project.write("Snakefile", text.replace(f'/{named}"', f'/{output}"').replace('script="train.py"', "[]"))
        if step == "sync":
            project.write("results/line/0.5/trained.json", "{}")
        failed = _snakemake(project, "--wrapper-prefix", f"file://{tmp_path}/", f"results/line/0.5/{output}")
        assert failed.returncode != 0
        said = failed.stdout + failed.stderr
        assert f"runferry: wrapper {step}: output: found results/line/0.5/{output}, expected" in said


@pytest.mark.slow
def test_a_command_that_fails_fails_the_rule_and_its_segment_stays(project, server, tmp_path):
    (tmp_path / "master").symlink_to(ROOT)
    shutil.copytree(WRAPPERS / "train" / "test", project.folder, dirs_exist_ok=True)
    train = project.folder / "train.py"
    train.write_text(train.read_text().replace("run.finish()", "sys.exit(3)"))
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("results/line/{rate}/train.log", "logs/{rate}.log"))
    failed = _snakemake(project, "--wrapper-prefix", f"file://{tmp_path}/", "results/line/0.5/trained.json")
    assert failed.returncode != 0
    folder = project.folder / "results" / "line" / "0.5"
    assert not (folder / "trained.json").exists()
    assert len(list(folder.glob("wandb/offline-run-*"))) == 1
    assert json.loads((folder / "attempts" / "1.json").read_text())["exit_code"] == 3
    # What runferry says is in the rule's log, what the command printed in the run's.
    assert "failed with exit code 3" in (project.folder / "logs" / "0.5.log").read_text()
    assert "attempt 1 of run" in (folder / "train.log").read_text()


def test_wrappers_and_meta_wrapper_are_found_by_a_tag_in_git(project, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(WRAPPERS, work / "workflow" / "wrappers")
    sync = work / "workflow" / "wrappers" / "sync" / "wrapper.py"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-C", str(work)]
    subprocess.run([*git, "init", "-q"], check=True)
    for version in (f"v{__version__}", "v100.0.0"):
        # Which of the two was run is what it writes.
        sync.write_text(f"open(snakemake.output[0], 'w').write('{version}')\n")
        for words in (["add", "."], ["commit", "-q", "-m", version], ["tag", version]):
            subprocess.run([*git, *words], check=True)
    test = WRAPPERS / META / "test"
    shutil.copytree(test, project.folder, dirs_exist_ok=True)
    tagged = f'"v{__version__}/workflow/wrappers/{META}"'
    project.write("Snakefile", (test / "Snakefile").read_text().replace('"file:.."', tagged))
    project.write("results/line/0.1/trained.json", "{}")
    receipt = "results/line/0.1/receipt.json"
    done = _snakemake(project, "--wrapper-prefix", f"git+file://{work}", "--allowed-rules", "sync", "--", receipt)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / receipt).read_text() == f"v{__version__}"

"""The plan: what a start would do and ask for, printed by every start and by `runferry plan`."""

from __future__ import annotations

import json

import pytest

from runferry.config.cluster import find_cluster
from runferry.report.use import Use, write_use
from support.projects import ROOT
from support.sample_experiment import write, write_attempt, write_receipt, write_run
from support.slurm_stub import path_without_slurm

NARVAL = {"gpus": 1, "time": "20m"}


@pytest.fixture
def plan(project, tmp_path):
    """Call `runferry plan` with a site's profile, on a machine without Slurm."""
    project.environment |= {"PATH": path_without_slurm(tmp_path / "path"), "SBATCH_ACCOUNT": "def-lab"}

    def call(*arguments: str, cluster: str = "narval"):
        snakefile = str(ROOT / "workflow" / "Snakefile")
        profile = str(ROOT / "profiles" / cluster)
        return project.runferry("plan", "--snakefile", snakefile, "--profile", profile, *arguments)

    return call


def _runs(project, name: str, count: int) -> list:
    """The folders of an experiment's runs, in order, as the workflow names them."""
    table = (project.folder / "results" / name / "runs.tsv").read_text().splitlines()[1:]
    assert len(table) == count
    return [project.folder / "results" / name / line.split("\t")[0] for line in table]


def test_a_plan_names_jobs_after_packing_and_what_they_ask_for(project, plan, grid):
    project.configure(
        {"a": {"sweep": grid(1000), "resources": NARVAL}, "b": {"sweep": grid(2), "resources": {"gpus": 4}}}
    )
    done = plan("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Three of 20 minutes follow one another in a job of 62 minutes, and one is left over; an A100 is 4 RGU.
    a, b = found["experiments"]
    hours = 333 * 62 / 60 + 20 / 60
    assert (a["runs"], a["to_train"], a["jobs"], a["nodes"], a["gpus"]) == (1000, 1000, 334, 334, 334)
    assert (a["gpu_hours"], a["rgu_hours"]) == pytest.approx((hours, 4 * hours), abs=0.01)
    assert (b["jobs"], b["gpus"], b["gpu_hours"], b["rgu_hours"]) == (2, 8, 8.0, 32.0)
    assert found["total"]["longest_hours"] == pytest.approx(62 / 60, abs=0.01)
    reason = f"the sync sends it; online is limited: {find_cluster('narval').wandb.reason}"
    assert found["wandb"] == {"mode": "offline", "reason": reason}
    assert found["shared_filesystem"]["files"] > 1002
    assert found["refusals"] == []
    assert not (project.folder / "results").exists()


def test_a_plan_names_each_request_of_a_run_of_which_the_first_to_start_counts(project, plan, grid):
    any_of = [{"gpu": "a100"}, {"gpu": "a100_3g.20gb"}]
    project.configure({"a": {"sweep": grid(800), "resources": {**NARVAL, "any_of": any_of}}})
    done = plan()
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "a: 800 jobs of 1 run, 1 a100, 12 cores, 124 GiB, 20m, billed as 4 RGU by its GPUs" in said
    other = "1 run, 1 a100_3g.20gb, 6 cores, 62 GiB, 20m, billed as 2 RGU by its GPUs (gpu: a100_3g.20gb)"
    assert f"a: or, if that starts first, {other}" in said
    where = "note: config: experiments.a.resources.any_of"
    assert f"{where}: GPU-h and RGU-h above are those of the first (gpu: a100), whichever starts" in said
    assert f"{where}: a run shares no job with others; Narval wants jobs of 1h at least" in said
    assert f"{where}: 1,600 jobs for 800 runs; with --jobs 500 there are never more than 1,000" in said
    [kind] = json.loads(plan("--json").stdout)["experiments"][0]["job_kinds"]
    assert [one["gpu"] for one in (kind, *kind["alternatives"])] == ["a100", "a100_3g.20gb"]


def test_where_only_the_first_request_of_a_run_counts_the_plan_says_so(project, plan):
    any_of = [{"gpu": "a100"}, {"gpu": "a100_3g.20gb"}]
    project.configure({"a": {"command": ["true"], "resources": {"gpus": 1, "any_of": any_of}}})
    here = plan(cluster="local").stdout
    profile = ["--profile", str(ROOT / "profiles" / "narval")]
    foreign = project.run(*project.snakemake_command(profile=False), *profile, "-n", "--executor", "slurm").stderr
    assert "any_of: only the first (gpu: a100) is asked for under executor: slurm" in foreign
    assert "any_of: only the first (gpu: a100) counts on this machine, where no job waits" in here
    assert "if that starts first" not in foreign + here


def test_a_start_and_the_command_print_the_same_screen(project, plan, grid):
    project.configure({"a": {"sweep": grid(3), "resources": NARVAL}})
    lines = plan().stdout
    assert len(lines.splitlines()) < 25
    profile = ("--profile", str(ROOT / "profiles" / "narval"))
    # Rules go to stdout, the plan to stderr, as they come.
    one_stream = ("sh", "-c", 'exec "$@" 2>&1', "sh")
    dry_run = project.run(*one_stream, *project.snakemake_command(profile=False), *profile, "-n")
    assert dry_run.returncode == 0, dry_run.stdout
    assert lines in dry_run.stdout
    assert dry_run.stdout.index(lines) < dry_run.stdout.index("Job stats")
    silent = project.run(*project.snakemake_command(profile=False), *profile, "-n", "--quiet", "all")
    assert "Plan for" not in silent.stdout + silent.stderr


def test_what_is_less_under_the_slurm_plugins_own_executor_is_said(project, plan, grid):
    project.configure({"a": {"sweep": grid(3), "resources": NARVAL}}, cluster="narval")
    assert "executor:" not in plan().stdout
    own = project.folder / "own-profile"
    own.mkdir()
    (own / "config.yaml").write_text("executor: slurm\njobs: 10\n")
    said = [line for line in plan("--profile", str(own)).stdout.splitlines() if line.startswith("executor: slurm ")]
    assert len(said) == 1
    assert "docs/module.md" in said[0]


def test_runs_are_counted_by_what_is_on_disk(project, plan, grid):
    project.configure({"a": {"sweep": grid(6), "resources": {"gpus": 1, "time": "2h"}}})
    assert project.snakemake("results/a/runs.tsv").returncode == 0
    done, unsynced, failed, running, settling, _ = _runs(project, "a", 6)
    for run, outcome in ((done, "finished"), (unsynced, "finished"), (failed, "failed"), (running, "running")):
        write_run(run, run.name, {})
        write_attempt(run, 1, outcome)
    write_receipt(done)
    # Trained in a pack, and not settled yet.
    write(settling / "finished.json", {})
    found = json.loads(plan("--json").stdout)["experiments"][0]
    assert found["states"] == {"to do": 1, "running": 1, "failed": 1, "unsynced": 2, "done": 1}
    assert (found["to_train"], found["jobs"], found["gpu_hours"]) == (3, 3, 6.0)


def test_the_plan_counts_what_snakemake_will_run(project, plan, grid):
    """As with everything trained: what is named on the command line is run again, and nothing else."""
    project.write("requirements.txt", "")
    environment = {"requirements": "requirements.txt"}
    project.configure(
        {"a": {"sweep": grid(2), "resources": {"time": "2h"}}, "b": {"sweep": grid(1)}}, environment=environment
    )
    assert project.snakemake("train_all").returncode == 0

    def planned(*options: str) -> tuple[list[int], dict[str, bool]]:
        done = project.runferry("plan", "--profile", str(ROOT / "profiles" / "local"), "--json", *snakefile, *options)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return [each["to_train"] for each in found["experiments"]], found["environments"]

    snakefile = ("--snakefile", str(ROOT / "workflow" / "Snakefile"))
    assert planned() == ([0, 0], {"default": True})
    assert planned("--forcerun", "train") == ([2, 1], {"default": True})
    assert planned("--forceall") == ([2, 1], {"default": False})
    assert planned("--forceall", "--until", "runs") == ([0, 0], {"default": True})
    run = _runs(project, "a", 2)[1].relative_to(project.folder)
    assert planned(f"{run}/trained.json", "--forcerun", "train") == ([1, 0], {"default": True})
    # A start says the same, above Snakemake's own table.
    done = project.snakemake("-n", "--forcerun", "train", "--", "train_all")
    assert done.returncode == 0, done.stderr
    (row,) = [line.split() for line in done.stderr.splitlines() if line.startswith("total ")]
    assert row[1:3] == ["3", "3"]
    # A start would build it, with nothing to train in it.
    project.write("requirements.txt", "# edited\n")
    assert planned() == ([0, 0], {"default": False})
    # Nobody needs one that is not there.
    project.write("requirements.txt", "")
    (project.folder / "results" / "environments" / "default.json").unlink()
    assert planned() == ([0, 0], {"default": True})
    assert "environment" not in project.planned("train_all")


def test_the_estimate_of_files_comes_from_finished_runs_where_there_are_some(project, plan, grid):
    project.configure({"a": {"sweep": grid(2), "resources": {"gpus": 1, "time": "2h"}}})
    assert project.snakemake("results/a/runs.tsv").returncode == 0
    done, _ = _runs(project, "a", 2)
    write_attempt(done, 1, "finished")
    write_receipt(done)
    (done / "checkpoints").mkdir()
    (done / "checkpoints" / "last.pt").write_bytes(b"x" * 3_000_000)
    found = json.loads(plan("--json").stdout)["shared_filesystem"]
    assert found["estimate_from"] == "finished runs"
    assert 3_000_000 < found["bytes"] < 3_010_000


@pytest.mark.parametrize(
    ("cluster", "mode", "said"),
    [
        ("narval", "online", "metrics only, the sync brings the files; the site says: "),
        ("fir", "online", "the site says: "),
        ("fir", "offline", "the sync sends it; online is possible: "),
        ("trillium", "offline", "the sync sends it; online is not possible: "),
    ],
)
def test_the_mode_of_wandb_has_what_it_means_and_the_pages_reason(project, plan, grid, cluster, mode, said):
    project.configure(
        {"a": {"sweep": grid(1), "resources": {"gpus": 1}}},
        wandb={"project": "p", "mode": mode, "eligible": True},
    )
    assert f"W&B {mode}: {said}{find_cluster(cluster).wandb.reason}\n" in plan(cluster=cluster).stdout


def test_everything_that_will_be_refused_is_named_at_once(project, plan, grid):
    project.configure(
        {
            "long": {"sweep": grid(2), "resources": {"gpus": 4, "time": "2d"}},
            "odd": {"sweep": grid(1), "resources": {"gpus": 3}},
            "good": {"sweep": grid(4), "resources": {"gpus": 1}},
        },
        wandb={"project": "p", "mode": "online"},
    )
    done = plan("--json", cluster="tamia")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [line.partition(": found")[0] for line in found["refusals"]] == [
        "config: wandb.mode",
        "config: experiments.long.resources.time",
        "config: experiments.odd.resources.gpus",
    ]
    assert [one["jobs"] for one in found["experiments"] if one["name"] == "good"] == [1]
    assert "refused: config: wandb.mode: found online" in plan(cluster="tamia").stdout


def test_a_plan_of_which_everything_is_refused_says_so(project, plan):
    project.configure({"x": {"command": ["true"], "resources": {"gpus": 5, "time": "3h"}}})
    done = plan()
    assert done.returncode == 1, done.stderr
    refused, rest = done.stdout.splitlines()
    assert refused.startswith("refused: config: experiments.x.resources.gpus: found 5")
    assert rest == "Plan for Narval: nothing is left to run"


def test_a_dry_run_names_all_refusals_and_plans_the_rest(project, plan):
    project.configure(
        {
            "odd": {"command": ["true"], "resources": {"gpus": 5}},
            "large": {"command": ["true"], "resources": {"memory": "5T", "cores": 500}},
            "good": {"command": ["true"], "resources": {"gpus": 1, "time": "3h"}},
        }
    )
    profile = ("--profile", str(ROOT / "profiles" / "narval"))
    done = project.run(*project.snakemake_command(profile=False), *profile, "-n")
    assert done.returncode == 1
    said = done.stderr.splitlines()
    refused = [line.partition(": found")[0] for line in said if line.startswith("refused: ")]
    assert refused == [
        f"refused: config: experiments.{name}" for name in ("odd.resources.gpus", "large.resources.cores")
    ]
    assert said.index("Plan for Narval") == 1 + said.index(next(line for line in said if "large" in line))
    assert any(line.startswith("good: 1 job of 1 run, 1 a100") for line in said)
    assert said[-1].startswith("runferry: 2 things refused, as said above; ")
    assert "Job stats" not in done.stdout + done.stderr


def test_what_may_be_meant_otherwise_is_said(project, plan):
    """Who pays, what is billed and by which share, and one line for each thing that is not as it may seem."""
    project.environment["WANDB_API_KEY"] = ""
    project.write("train.py", "import wandb\nwandb.init(\n    project='elsewhere')\n")
    project.write("requirements.txt", "--extra-index-url http://127.0.0.1:1/simple\nwandb\n")
    lr = {"distribution": "log_uniform", "min": 0.1, "max": 1.0}
    sweep = {"program": "train.py", "method": "random", "project": "other", "count": 9, "run_cap": 1}
    project.configure(
        {
            "a": {"sweep": {**sweep, "parameters": {"lr": lr}}, "resources": {"gpus": 1, "cores": 24, "time": "2h"}},
            "b": {"command": ["true"]},
        },
        cluster="fir",
        environment={"requirements": "requirements.txt"},
    )
    done = plan("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["account"] == "def-lab (from $SBATCH_ACCOUNT), not checked: no Slurm answers here"
    (kind,) = found["experiments"][0]["job_kinds"]
    assert (kind["billed"], kind["billed_by"], found["total"]["rgu_hours"]) == (8.0, "cores", 16.0)
    for start, note in zip(
        [
            "cluster: config/config.yaml says fir; the profile or the command line says narval, which counts",
            "https://api.",
            "config: experiments.a.sweep: count is no key of a sweep",
            "config: experiments.a.sweep: project: other is not used",
            "config: experiments.a.sweep: parameters.lr: log_uniform takes exp(0.1) to exp(1.0)",
            "train.py, line 3: project='elsewhere' of the script counts, not the config's wandb.project (tests)",
            "config: experiments.b.resources: cores 2, memory 4 GiB: a default of runferry's",
            "requirements.txt: --extra-index-url http://127.0.0.1:1/simple is not asked",
        ],
        found["notes"],
        strict=True,
    ):
        assert note.startswith(start), found["notes"]
    screen = plan().stdout
    assert "a: 1 job of 1 run, 1 a100, 24 cores, 124 GiB, 2h, billed as 8 RGU by its cores\n" in screen
    assert "account: def-lab (from $SBATCH_ACCOUNT), not checked" in screen
    assert all(f"note: {note}\n" in screen for note in found["notes"])


def test_rgu_hours_are_unknown_where_the_site_does_not_say(project, plan, grid):
    project.configure({"a": {"sweep": grid(1), "resources": {"gpus": 8, "gpu": "h200"}}})
    found = json.loads(plan("--json", cluster="tamia").stdout)["total"]
    assert (found["gpu_hours"], found["rgu_hours"]) == (8.0, None)
    assert "unknown" in plan(cluster="tamia").stdout


def test_what_is_not_established_of_a_site_is_said(project, plan, grid):
    project.configure({"a": {"sweep": grid(1), "resources": {"gpus": 1, "gpu": "h100", "qos": "acc_ehpc"}}})
    unknown = ["the longest GPU job", "h100: its share of memory", "how many jobs a user may have"]
    assert json.loads(plan("--json", cluster="marenostrum5").stdout)["not_established"] == unknown
    line = f"not established of MareNostrum 5, and not checked: {'; '.join(unknown)}"
    assert line in plan(cluster="marenostrum5").stdout
    project.configure({"a": {"sweep": grid(1), "resources": {"gpus": 1}}})
    assert "not established" not in plan(cluster="narval").stdout


def test_a_bayes_sweep_has_a_job_for_each_place(project, plan):
    sweep = {
        "method": "bayes",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"lr": {"min": 0.1, "max": 1.0}},
        "run_cap": 5,
        "command": ["true", "${args}"],
    }
    project.configure({"a": {"sweep": sweep, "resources": {"gpus": 1, "time": "2h"}}})
    done = plan("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["experiments"][0]
    assert (found["runs"], found["jobs"], found["gpu_hours"]) == (5, 5, 10.0)
    # Five on four places are two after each other, of two hours each.
    assert found["note"].startswith("5 points to come on 4 places, at most 4h of training; ")


def test_a_bad_config_is_one_line(project, plan):
    project.configure({"a": {"sweep": "missing.yaml"}})
    done = plan()
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("runferry: missing.yaml: expected a YAML file")


def test_the_page_is_written_whole_and_says_where(project, plan, grid):
    project.configure({"a": {"sweep": grid(3), "resources": NARVAL}})
    done = plan("--html", "out/plan.html")
    assert done.returncode == 0, done.stderr
    assert "out/plan.html" in done.stderr
    page = (project.folder / "out" / "plan.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert "default-src &#39;none&#39;" in page


def test_the_advice_is_what_the_last_report_found(project, plan, grid):
    project.configure({"a": {"sweep": grid(2), "resources": NARVAL}, "b": {"sweep": grid(1), "resources": NARVAL}})
    use = Use(
        runs=2,
        seconds=1800,
        time_limit=3 * 3600,
        peak_memory=4 * 2**30,
        memory=124 * 2**30,
        used_cores=1.5,
        cores=12,
        gpu="a100",
        gpus=1,
        gpu_memory=3e9,
        gpu_use=10.0,
        hours=1.0,
    )
    write_use(project.folder / "results" / "a", use)
    done = plan("--advice")
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[1:7] == ["experiments:", "a:", "resources:", "gpu: a100_1g.5gb", "cores: 2", "memory: 15G"]
    assert any(line.startswith("Billed: 0.67 RGU an hour, by its cores, in place of 4") for line in lines)
    assert lines[-1].startswith("b: no report yet; runferry report ")

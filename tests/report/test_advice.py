"""What is advised for the next request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runferry.config.cluster import find_cluster
from runferry.report.advice import SPARE, Bill, advice_lines, advise, bill_of, propose
from runferry.report.attempts import add_usage
from runferry.report.measurements import GPU_BYTES, GPU_USE
from runferry.report.model import SystemCurve
from runferry.report.use import Use, read_use, use_of, write_use
from support.paths import ROOT
from support.sacct_stub import (
    run_of,
    utc,  # noqa: F401 - a fixture
)

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
NARVAL = find_cluster("narval")
SITES = {name: find_cluster(name) for name in ("narval", "rorqual", "fir", "nibi")}
IDLE = Use(
    runs=4,
    seconds=3600,
    time_limit=6 * 3600,
    peak_memory=8 * GIB,
    memory=248 * GIB,
    used_cores=3.0,
    cores=24,
    gpu="a100",
    gpus=1,
    gpu_memory=6e9,
    gpu_use=20.0,
    hours=4.0,
)


def test_the_most_that_any_run_used_is_taken_from_slurm_and_from_wandb(asked: Path, tmp_path: Path) -> None:
    run = run_of("7", "2026-03-01T10:00:09+00:00")
    run.system[GPU_USE] = SystemCurve([0.0], [12.0], 12.0, 30.0)
    run.system[GPU_BYTES] = SystemCurve([0.0], [3.0], 3.0, 4.5)
    add_usage([run], tmp_path)
    use = use_of([run])
    assert use is not None
    assert (use.seconds, use.time_limit, use.peak_memory, use.memory) == (3600, 3 * 3600, 8 * GIB, 124 * GIB)
    assert (use.gpu, use.gpus, use.cores, use.gpu_memory, use.gpu_use) == ("a100", 1, 12, 4.5e9, 12.0)
    assert use.used_cores == pytest.approx(11.5, abs=0.1)
    write_use(tmp_path, use)
    assert read_use(tmp_path) == use


def test_a_job_that_several_runs_shared_says_nothing_about_one(asked: Path, tmp_path: Path) -> None:
    runs = [run_of("7", "2026-03-01T10:00:09+00:00"), run_of("7", "2026-03-01T10:00:09+00:00", "two")]
    add_usage(runs, tmp_path)
    assert all(run.attempts[0].shared for run in runs)
    assert use_of(runs) is None
    assert "Nothing is known yet" in advise("digits", None, None).headline


@pytest.mark.parametrize(
    ("gpu", "gpus", "cores", "memory", "bill"),
    [
        # The page's own example: one A100 with the cores and memory of two.
        ("a100", 1, 24, 248 * 1024, Bill(8.0, "cores")),
        ("a100", 1, 12, 124 * 1024, Bill(4.0, "GPUs")),
        ("a100", 1, 12, 248 * 1024, Bill(7.97, "memory")),
        ("a100_1g.5gb", 1, 1, 15 * 1024, Bill(0.57, "GPUs")),
    ],
)
def test_a_job_is_billed_by_its_largest_share(gpu: str, gpus: int, cores: int, memory: int, bill: Bill) -> None:
    assert bill_of(NARVAL, NARVAL.gpu_names[gpu], gpus, cores, memory) == bill


def test_nothing_is_billed_in_units_that_are_not_established() -> None:
    mila = find_cluster("mila")
    assert bill_of(mila, mila.gpu_names["a100"], 1, 12, 1024) is None
    assert bill_of(NARVAL, None, 0, 12, 1024) is None


def test_a_run_that_fits_a_part_of_a_gpu_is_advised_that_part() -> None:
    proposal = propose(IDLE, NARVAL)
    # 6 GB and a quarter need 10; 20 % of the GPU and a quarter need two of its seven slices.
    assert proposal.resources == {"gpu": "a100_2g.10gb", "cores": "4", "memory": "31G"}
    assert proposal.before == Bill(8.0, "cores")
    assert proposal.after == Bill(1.33, "cores")
    text = "\n".join(advise("digits", IDLE, NARVAL).sentences)
    assert "1.33 RGU an hour, by its cores, in place of 8, by its cores: 26.7 RGU-hours less" in text


def test_a_busy_gpu_is_left_whole_with_what_goes_with_it() -> None:
    proposal = propose(replace(IDLE, gpu_use=90.0), NARVAL)
    assert proposal.resources == {"cores": "12", "memory": "124G", "time": "75m"}
    assert proposal.after == Bill(4.0, "GPUs")
    assert (
        "tier of up to 3h and no longer that of up to 12h"
        in advise("digits", replace(IDLE, gpu_use=90.0), NARVAL).sentences[0]
    )
    # Nothing is saved where the request is what goes with the GPU.
    fitting = replace(IDLE, gpu_use=90.0, memory=124 * GIB, cores=12, time_limit=4500)
    assert propose(fitting, NARVAL).resources == {}
    assert advise("digits", fitting, NARVAL).lines == []


def test_without_a_cluster_what_was_used_alone_counts() -> None:
    assert propose(IDLE, None).resources == {"cores": "4", "memory": "10G", "time": "75m"}


def test_what_a_run_that_was_ended_would_have_taken_is_not_known() -> None:
    cut = replace(IDLE, cut_short=True, out_of_memory=True, gpu_use=None)
    assert propose(cut, NARVAL).resources == {"cores": "12"}
    said = advise("digits", cut, NARVAL).sentences
    assert sum("is not known" in sentence for sentence in said) == 2


def test_the_lines_are_a_config_of_the_experiment(tmp_path: Path) -> None:
    import yaml

    name = 'a: "name", [odd]'
    lines = advise(name, IDLE, NARVAL).lines
    assert yaml.safe_load("\n".join(lines)) == {
        "experiments": {name: {"resources": {"gpu": "a100_2g.10gb", "cores": 4, "memory": "31G"}}}
    }
    write_use(tmp_path / "digits", IDLE)
    write_use(tmp_path / "none", None)
    said = advice_lines(tmp_path, ["digits", "none", "other"], NARVAL)
    assert "  experiments:" in said
    assert [line for line in said if line.startswith("none: Nothing is known yet")]
    assert said[-1].startswith("other: no report yet; runferry report ")
    (tmp_path / "digits" / "use.json").write_text(json.dumps({"runs": 3}))
    assert read_use(tmp_path / "digits") is None


@given(
    seconds=st.floats(1, 600_000),
    limit=st.floats(1, 3),
    memory=st.floats(0.01, 500),
    asked=st.floats(1, 20),
    cores=st.floats(0.1, 48),
    more=st.integers(1, 10),
    gpu_memory=st.floats(0.1, 40),
    gpu_use=st.floats(0, 100),
    cluster=st.sampled_from(list(SITES)),
)
def test_no_advice_is_below_what_was_used_with_its_margin(
    seconds: float,
    limit: float,
    memory: float,
    asked: float,
    cores: float,
    more: int,
    gpu_memory: float,
    gpu_use: float,
    cluster: str,
) -> None:
    site = SITES[cluster]
    model = site.default_gpu or ""
    use = Use(
        runs=1,
        seconds=seconds,
        time_limit=seconds * limit,
        peak_memory=memory * GIB,
        memory=memory * GIB * asked,
        used_cores=cores,
        cores=int(cores * more) + 1,
        gpu=model,
        gpus=1,
        gpu_memory=gpu_memory * 1e9,
        gpu_use=gpu_use,
    )
    proposal = propose(use, site)
    if proposal.minutes is not None:
        assert proposal.minutes * 60 >= seconds * SPARE
    if proposal.gigabytes is not None:
        assert proposal.gigabytes * GIB >= memory * GIB * SPARE
        assert proposal.gigabytes * GIB < memory * GIB * asked
    if proposal.cores is not None:
        assert cores * SPARE <= proposal.cores < use.cores
    if proposal.gpu is not None:
        assert float(proposal.gpu.name.partition(".")[2].removesuffix("gb")) >= gpu_memory * SPARE
        assert proposal.before
        assert proposal.after
        assert proposal.after.units < proposal.before.units


def test_the_table_in_the_documentation_is_what_its_command_prints() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "advice.py")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout in (ROOT / "docs" / "report.md").read_text(encoding="utf-8")

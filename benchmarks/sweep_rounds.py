"""What the choice of a bayes sweep's round costs, by how many runs came before it.

Prints JSON lines, in CPU seconds of the whole process tree:

    {"name": ..., "ours": a choice with its reading, "other": the first round's, "ratio": ..., "limit": null}

The earlier runs are copies of one that the installed wandb wrote; W&B's `sweeps` package is installed first where it
is not there yet.

    python benchmarks/sweep_rounds.py                 # rounds of 4 and of 50, 1,000 rows a run: about five minutes
    python benchmarks/sweep_rounds.py --rows 10000
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config import loading
from runferry.config.experiments import experiments
from runferry.config.rounds import round_file
from runferry.system.files import read_json, write_json
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry.workflow import sweeps_package
from runferry.workflow.bayes import choose
from sync import SCRIPT, renamed, report, say

if TYPE_CHECKING:
    from runferry.config.experiment import Experiment

SCHEMA = Path(__file__).resolve().parents[1] / "workflow" / "schemas" / "config.schema.yaml"
ROUNDS = {4: 10, 50: 5}
"""Runs of a round -> how many rounds are chosen."""


def main() -> None:
    """Measure each size of a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, help="of each run, with ten metrics (default: %(default)s)")
    rows = parser.parse_args().rows
    sweeps_package.find_python(say)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        records = _written(folder, rows)
        for size, rounds in ROUNDS.items():
            _measure(folder / f"by-{size}", _experiment(size, rounds), records, rows)


def _measure(folder: Path, experiment: Experiment, records: list[bytes], rows: int) -> None:
    planned = experiment.rounds
    if planned is None:
        raise AssertionError
    first = 0.0
    for number in range(1, planned.number + 1):
        before = _cpu_seconds()
        choose(experiment, folder, number, say)
        cost = _cpu_seconds() - before
        first = first or cost
        report(f"choice of {planned.size} after {(number - 1) * planned.size} runs of {rows} rows", cost, first, None)
        for chosen in read_json(round_file(folder, number)):
            _train(folder / chosen["id"], records)


def _experiment(size: int, rounds: int) -> Experiment:
    parameters = {name: {"min": 0.0, "max": 1.0} for name in ("a", "b", "c", "d")}
    sweep = {"method": "bayes", "command": ["true"], "metric": {"name": "metric1"}, "parameters": parameters}
    section = {"sweep": sweep, "count": size * rounds, "runs_per_round": size}
    config = {"wandb": {"project": "benchmark"}, "experiments": {"search": section}}
    return experiments(loading.validate(config, SCHEMA))["search"]


def _written(folder: Path, rows: int) -> list[bytes]:
    """Have wandb write one run; return its records."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_RUN_ID": "one", "WANDB_SILENT": "true"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(rows), "10"], env=environment, check=True)
    (log,) = folder.glob("wandb/offline-run-*/run-one.wandb")
    return list(TransactionLog(log))


def _train(run: Path, records: list[bytes]) -> None:
    segment = run / "wandb" / f"offline-run-20260101_000000-{run.name}"
    segment.mkdir(parents=True)
    write_log(segment / f"run-{run.name}.wandb", renamed(records, run.name))
    write_json(run / "trained.json", {})


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()

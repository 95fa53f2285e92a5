"""An experiment as a large sweep leaves it, made up, for what is slow or ugly only then."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from support.sample_experiment import write, write_attempt, write_log_of, write_receipt, write_run

if TYPE_CHECKING:
    from pathlib import Path


def write_sweep(folder: Path, runs: int, steps: int) -> None:
    """Write as many runs, some failed or continued, with what their machines measured and Slurm's figures."""
    chance = random.Random(7)
    usage: dict[str, Any] = {}
    write(folder / "sweep.json", {"method": "random", "metric": {"name": "loss", "goal": "minimize"}})
    for number in range(runs):
        run = folder / f"run{number:04}"
        rate, width = 10 ** chance.uniform(-4, -1), chance.choice([16, 32, 64, 128])
        optimizer = chance.choice(["adam", "sgd"])
        given = {
            "learning_rate": round(rate, 6),
            "width": width,
            "optimizer": optimizer,
            "dropout": chance.random() // 0.1 / 10,
        }
        write_run(run, f"learning_rate={rate:.2g} width={width} {optimizer}", {**given, "epochs": 20}, gpus=1)
        speed = (1 + math.log10(rate) + 4) * (1.5 if optimizer == "adam" else 1) * math.log2(width) / 8
        rows = [
            {
                "loss": 2.3 * math.exp(-speed * step / steps) + 0.1 * abs(math.sin(step)) * chance.random() + 0.02,
                "accuracy": 1 - 0.9 * math.exp(-speed * step / steps) - 0.03 * chance.random(),
                "throughput": 900 + 300 * chance.random(),
            }
            for step in range(steps)
        ]
        stats = [
            {
                "gpu.0.gpu": 8 + 4 * chance.random(),
                "gpu.0.memoryAllocated": min(8.0 + i, 22),
                "gpu.0.memoryAllocatedBytes": min(8.0 + i, 22) * 0.4e9,
                "cpu": 90 + 5 * chance.random(),
                "proc.memory.rssMB": 3000 + 100 * i,
                "memory_percent": 12.5,
            }
            for i in range(max(steps // 10, 2))
        ]
        write_log_of(run, rows, stats, start=1772359200 + 60 * (number % 40))
        begin, minutes = 10 * 60 + number % 40, 30 + number % 17
        outcome = "failed" if number % 13 == 5 else "finished"
        at = lambda minute: f"2026-03-01T{minute // 60:02}:{minute % 60:02}:00+00:00"  # noqa: E731
        more = {"job": str(5000 + number), "used": {"cpu_seconds": 60.0 * minutes, "peak_memory": 3 * 2**30}}
        attempt = 1
        if number % 9 == 2:
            write_attempt(
                run, 1, "stopped", start=at(begin), end=at(begin + 20), reason="preempted", exit_code=0, **more
            )
            attempt, begin = 2, begin + 25
        end = begin + minutes
        write_attempt(
            run,
            attempt,
            outcome,
            start=at(begin),
            end=at(end),
            seconds=60.0 * minutes,
            reason="out of memory" if outcome == "failed" else None,
            **more,
        )
        if outcome == "finished" and number % 5:
            write_receipt(run)
        usage[more["job"]] = {
            "start": 1772323200 + 60 * begin,
            "end": 1772323200 + 60 * end,
            "elapsed": 60 * minutes,
            "time_limit": 180 * 60,
            "memory": 124 * 2**30,
            "peak_memory": 6 * 2**30,
            "cores": 12,
            "gpus": 1,
            "cpu_seconds": 61.0 * minutes,
            "gpu": "a100",
        }
    write(folder / "usage.json", usage)

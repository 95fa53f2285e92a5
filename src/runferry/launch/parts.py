"""Divide the GPUs and threads of a job among its runs or tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""What Slurm tells a job of its GPUs: of Nvidia's and of AMD's."""

THREADS = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What Snakemake sets to a job's cores where it runs a rule's shell command (9.17 to 9.27)."""


def devices_of(variables: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the GPUs that a job's variables name, by variable."""
    return {name: variables[name].split(",") for name in DEVICES if variables.get(name)}


def threads_of_part(variables: Mapping[str, str], parts: int) -> dict[str, str]:
    """Return the numbers of threads of each of so many equal parts of a job."""
    found = {name: variables[name] for name in THREADS if variables.get(name, "").isdigit()}
    return {name: str(max(1, int(threads) // parts)) for name, threads in found.items()}

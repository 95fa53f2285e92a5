"""Which runs are to share which jobs: planned when Snakemake starts, from the runs that are not trained yet."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.experiment import short_hash
from runferry.pack import FOLDER, Pack, read_pack
from runferry.request import Request, make_request
from runferry.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.cluster import Cluster
    from runferry.experiment import Experiment

RUN = "[0-9a-v]{12}"
"""A run's id, as a regular expression; a pack's is of the same form."""


@dataclass(frozen=True)
class PackPlan:
    """The packs of a workflow, and what they ask for.

    A job's own Snakemake plans none: it reads its pack from `runs.json`, whatever has been trained meanwhile.
    """

    results: Path
    cluster: Cluster
    experiments: Mapping[str, Experiment]
    requests: Mapping[str, Request]
    """What a job with one run asks for, by the experiment's name."""
    packs: Mapping[str, Pack]
    """By their ids."""
    settled: frozenset[str]
    """Ids of the runs that were trained in a pack before."""

    @cached_property
    def pack_of(self) -> Mapping[str, str]:
        """The pack of each run that is in one."""
        return {run: name for name, pack in self.packs.items() for run in pack.runs}

    @property
    def packed(self) -> str:
        """A regular expression for the runs that are to be trained in a pack."""
        return _one_of(self.pack_of) if self.pack_of else "(?!)"

    @property
    def alone(self) -> str:
        """A regular expression for the runs that rule `train` may train.

        Those that were trained in a pack are none of them: Snakemake would find that another rule had made their
        `trained.json`, and make it again.
        """
        others = [*self.pack_of, *sorted(self.settled)]
        return f"(?!{_one_of(others)}){RUN}" if others else RUN

    def pack(self, experiment: str, name: str) -> Pack:
        """Return a pack by its id: one that was planned, else the one on disk.

        Raises
        ------
        ConfigError
            When there is no such pack.
        """
        return self.packs.get(name) or read_pack(self.results / experiment / FOLDER / name)

    def request(self, experiment: str, name: str) -> Request:
        """Return what the job of a pack asks for."""
        alone = self.requests[experiment]
        request = make_request(self.experiments[experiment], self.cluster, len(self.pack(experiment, name).runs))
        account = alone.resources.get("slurm_account")
        return request.paid_by(account if isinstance(account, str) else None)


def plan_packs(
    results: Path,
    cluster: Cluster,
    experiments: Mapping[str, Experiment],
    requests: Mapping[str, Request],
    *,
    controller: bool,
) -> PackPlan:
    """Divide the runs that are not trained yet into packs, in their order.

    Parameters
    ----------
    results
        The folder with the experiments' folders.
    cluster, experiments, requests
        What is to run where, and what one run asks for.
    controller
        Whether this is the Snakemake that a person started; else nothing is planned.
    """
    packs: dict[str, Pack] = {}
    settled: set[str] = set()
    for name, experiment in experiments.items() if controller else ():
        settled |= _packed_before(results / name)
        packing = requests[name].packing
        if packing.capacity == 1 and not packing.part_of_node:
            continue
        folders = [RunFolder(results / name / run) for run in experiment.runs]
        waiting = [folder for folder in folders if not folder.trained_file.exists()]
        for first in range(0, len(waiting), packing.capacity):
            members = waiting[first : first + packing.capacity]
            # One run that has all that its job asks for needs no pack.
            if len(members) == 1 and not packing.part_of_node:
                continue
            runs = {folder.path.name: _count_attempts(folder) for folder in members}
            # A run in its turn may not take the time of the next.
            seconds = experiment.time * 60 if packing.rounds(len(runs)) > 1 else None
            gpus = experiment.gpus if packing.side_by_side > 1 else 0
            pack = Pack(packing.side_by_side, gpus, seconds, runs)
            packs[short_hash([name, list(runs)], 12)] = pack
    settled -= {run for pack in packs.values() for run in pack.runs}
    return PackPlan(results, cluster, experiments, requests, packs, frozenset(settled))


def _packed_before(experiment: Path) -> set[str]:
    """Name the runs that are trained and have been in a pack."""
    runs: set[str] = set()
    with suppress(FileNotFoundError):
        for folder in (experiment / FOLDER).iterdir():
            # Of one that was never written whole nothing has run.
            with suppress(ConfigError, ValueError):
                runs |= read_pack(folder).runs.keys()
    return {run for run in runs if RunFolder(experiment / run).trained_file.exists()}


def _count_attempts(folder: RunFolder) -> int:
    try:
        # Names only: thousands of runs are looked at when Snakemake starts.
        names = os.listdir(folder.attempts_folder)  # noqa: PTH208
    except FileNotFoundError:
        return 0
    return sum(name.removesuffix(".json").isdigit() for name in names)


def _one_of(ids: Mapping[str, str] | list[str]) -> str:
    return f"(?:{'|'.join(ids)})"

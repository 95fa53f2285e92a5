"""Plan which runs share which jobs, when Snakemake starts, from the runs that are not trained yet."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from runferry.config.job_request import Request, make_request
from runferry.config.run import short_hash
from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder
from runferry.runs.pack import FOLDER, Pack, done_file, read_pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment

RUN = "[0-9a-v]{12}"
"""A run's id, as a regular expression; a pack's is of the same form."""


@dataclass(frozen=True)
class PackPlan:
    """The packs of a workflow, and the requests of their jobs.

    A job's own Snakemake plans none: it reads its pack from `runs.json`, whatever has been trained meanwhile.
    """

    results: Path
    cluster: Cluster
    experiments: Mapping[str, Experiment]
    requests: Mapping[str, Request]
    """What a job with one run asks for, by the experiment's name."""
    packs: dict[str, Pack] = field(default_factory=dict[str, Pack])
    """By their ids."""
    pack_of: dict[str, str] = field(default_factory=dict[str, str])
    """The pack of each run that is to be trained in one."""
    finished: set[str] = field(default_factory=set[str])
    """Ids of the runs that were trained in a pack, and not settled."""
    settled: set[str] = field(default_factory=set[str])
    """Ids of the runs that were trained in a pack, and settled."""

    @cached_property
    def packed(self) -> str:
        """Return a regular expression for the runs that rule `settle` may settle."""
        return _one_of([*self.pack_of, *sorted(self.finished)])

    @cached_property
    def alone(self) -> str:
        """Return a regular expression for the runs that rule `train` may train.

        Runs that were trained in a pack are left out: Snakemake would find that another rule had made their
        `trained.json`, and make it again.
        """
        return f"(?!{_one_of([*self.pack_of, *sorted(self.finished | self.settled)])}){RUN}"

    def pack(self, experiment: str, name: str) -> Pack:
        """Return a pack by its id: the planned one, else the one on disk.

        Raises
        ------
        ConfigError
            When there is no such pack.
        """
        return self.packs.get(name) or read_pack(self.results / experiment / FOLDER / name)

    def request(self, experiment: str, name: str) -> Request:
        """Return the request of a pack's job."""
        alone = self.requests[experiment]
        request = make_request(self.experiments[experiment], self.cluster, len(self.pack(experiment, name).runs))
        account = alone.resources.get("slurm_account")
        return request.paid_by(account if isinstance(account, str) else None)

    def plan(self, name: str) -> None:
        """Divide the runs of an experiment that are not trained yet into packs, in their order."""
        begun = _packs_on_disk(self.results / name)
        before = {run for pack, _ in begun.values() for run in pack.runs}
        self.settled.update(run for run in before if RunFolder(self.results / name / run).trained_file.exists())
        packing = self.requests[name].packing
        if not before and packing.capacity == 1 and not packing.part_of_node:
            return
        folders = {run: RunFolder(self.results / name / run) for run in self.experiments[name].runs}
        waiting = {run: folder for run, folder in folders.items() if not folder.trained_file.exists()}
        self.finished.update(run for run in waiting if run in before and folders[run].finished_file.exists())
        waiting = {run: folder for run, folder in waiting.items() if run not in self.finished}
        for pack_id, (pack, done) in begun.items():
            # One that was submitted, and has not ended, as far as is known: its job may be running.
            left = [run for run in pack.runs if run in waiting]
            fits = len(pack.runs) <= packing.capacity and self._pack(name, pack.runs) == pack
            if left and not done and fits:
                self._take(pack_id, pack, left)
                for run in left:
                    del waiting[run]
        runs = list(waiting)
        for first in range(0, len(runs), packing.capacity):
            members = runs[first : first + packing.capacity]
            # One run that has all that its job asks for needs no pack.
            if len(members) > 1 or packing.part_of_node:
                pack = self._pack(name, {run: _count_attempts(waiting[run]) for run in members})
                pack_id, again = short_hash([name, members], 12), 1
                # Runs whose folders were deleted: of the pack that they had, nothing is to be done.
                while begun.get(pack_id) == (pack, True):
                    again += 1
                    pack_id = short_hash([name, members, again], 12)
                self._take(pack_id, pack, members)

    def _pack(self, name: str, runs: Mapping[str, int]) -> Pack:
        experiment, packing = self.experiments[name], self.requests[name].packing
        return Pack(
            packing.side_by_side,
            experiment.gpus if packing.side_by_side > 1 else 0,
            # A run in its turn may not take the time of the next.
            experiment.time * 60 if packing.rounds(len(runs)) > 1 else None,
            dict(runs),
            packing.share_gpu,
        )

    def _take(self, pack_id: str, pack: Pack, runs: list[str]) -> None:
        self.packs[pack_id] = pack
        self.pack_of.update(dict.fromkeys(runs, pack_id))


def plan_packs(
    results: Path,
    cluster: Cluster,
    experiments: Mapping[str, Experiment],
    requests: Mapping[str, Request],
    *,
    controller: bool,
) -> PackPlan:
    """Plan the packs of all experiments.

    Parameters
    ----------
    results
        The folder with the experiments' folders.
    cluster, experiments, requests
        What is to run where, and what one run asks for.
    controller
        Whether this is the Snakemake that the user started; else nothing is planned.
    """
    planned = PackPlan(results, cluster, experiments, requests)
    for name in experiments if controller else ():
        planned.plan(name)
    return planned


def _packs_on_disk(experiment: Path) -> dict[str, tuple[Pack, bool]]:
    """Read the packs that were written down, by their ids, and whether each is done."""
    found: dict[str, tuple[Pack, bool]] = {}
    with suppress(FileNotFoundError):
        for folder in sorted((experiment / FOLDER).iterdir()):
            # Of one that was never written whole nothing has run.
            with suppress(ConfigError, ValueError):
                found[folder.name] = read_pack(folder), done_file(folder).exists()
    return found


def _count_attempts(folder: RunFolder) -> int:
    try:
        # Names only: thousands of runs are looked at when Snakemake starts.
        names = os.listdir(folder.attempts_folder)  # noqa: PTH208
    except FileNotFoundError:
        return 0
    return sum(name.removesuffix(".json").isdigit() for name in names)


def _one_of(ids: list[str]) -> str:
    # (?!): no run at all.
    return f"(?:{'|'.join(ids)})" if ids else "(?!)"

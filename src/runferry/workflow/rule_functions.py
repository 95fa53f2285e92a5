"""Define the rules' functions of wildcards: inputs, parameters and resources.

Snakemake calls each once a job. A function more costs a dry run of 5,000 runs a quarter of a second, so that what one
rule asks for is one function.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.config.search.search import resource_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runferry.config.job_request import Request
    from runferry.workflow.pack_plan import PackPlan
    from runferry.workflow.workflow import Workflow

RESOURCES = (
    "mem_mb",
    "runtime",
    "nodes",
    "tasks",
    "cpus_per_task",
    "gpu",
    "gpu_model",
    "gres",
    "tasks_per_gpu",
    "slurm_account",
    "slurm_partition",
    "constraint",
    "qos",
    "slurm_extra",
    "slurm_request",
)
"""What jobs may ask for, in Snakemake's and the Slurm plugin's names; one that a cluster does not want is left out."""


def request_key(name: str) -> str:
    """Return the key of a job request that one of `RESOURCES` has the value of.

    What `--set-resources` puts in the place of slurm_extra must not drop the GPUs: our executor asks for what it lacks
    of `slurm_request`, which says the same.
    """
    return "slurm_extra" if name == "slurm_request" else name


OfWildcards = Callable[[Any], Any]
"""A function of a rule's wildcards, as Snakemake calls it."""


@dataclass(frozen=True)
class RuleFunctions:
    """The rules' functions of wildcards, for one use of the workflow.

    Attributes
    ----------
    plan
        The checked config and what follows from it.
    packs
        Which runs share jobs.
    results
        The folder of the experiments.
    ancient
        Snakemake's flag for an input whose time does not matter.
    locks
        Returns whether this start takes the lock of the folder, once that is known.
    """

    plan: Workflow
    packs: PackPlan
    results: Path
    ancient: Callable[[str], Any]
    locks: Callable[[], bool]

    # Names, as regular expressions: two modules of one workflow, which share a results folder, know their own only.

    @property
    def experiment_names(self) -> str:
        """Return a regular expression for the names of the experiments."""
        return _one_of(self.plan.experiments)

    @property
    def environment_names(self) -> str:
        """Return a regular expression for the names of the environments."""
        return _one_of(self.plan.environments)

    # What a job asks for.

    @property
    def resources(self) -> dict[str, OfWildcards]:
        """Return the resources of the job of one run."""
        return {name: _resource(name, self._request) for name in RESOURCES}

    @property
    def pack_resources(self) -> dict[str, OfWildcards]:
        """Return the resources of the job of a pack, whose tasks the pack's launcher starts itself."""
        of_tasks = ("tasks", "cpus_per_task")
        return {name: _resource(name, self._pack_request) for name in RESOURCES if name not in of_tasks}

    def cores(self, wildcards: Any) -> int:
        """Return the cores of the job of one run."""
        return self._request(wildcards).cores

    def pack_cores(self, wildcards: Any) -> int:
        """Return the cores of the job of a pack."""
        return self._pack_request(wildcards).cores

    def _request(self, wildcards: Any) -> Request:
        return self.plan.requests[wildcards.experiment]

    def _pack_request(self, wildcards: Any) -> Request:
        return self.packs.request(wildcards.experiment, wildcards.pack)

    # Environments.

    def environment_files(self, wildcards: Any) -> list[str]:
        """List the files that an environment is built from."""
        return self.plan.environment_files(wildcards.environment)

    def environment_options(self, wildcards: Any) -> list[str]:
        """Return the options of `runferry environment`."""
        return self.plan.environment_options(wildcards.environment)

    def environment_digest(self, wildcards: Any) -> str:
        """Hash what no input's time shows: another Python, a file of the user's own package."""
        return self.plan.environment_digest(wildcards.environment)

    def environment_of_pack(self, wildcards: Any) -> list[str]:
        """List the record of the environment that the runs of an experiment need, if any."""
        name = self.plan.experiments[wildcards.experiment].environment
        return [f"{self.results}/environments/{name}.json"] if name else []

    # Runs.

    def runs_digest(self, wildcards: Any) -> str:
        """Hash the runs of an experiment, so that Snakemake writes them again where they have changed."""
        return self.plan.experiments[wildcards.experiment].digest

    def needs_of_run(self, wildcards: Any) -> list[Any]:
        """List the inputs of a run: the table of its experiment's runs, its environment, others' results."""
        runs = f"{self.results}/{wildcards.experiment}/runs.tsv"
        done = f"{self.results}/{wildcards.experiment}/{wildcards.run}/trained.json"
        return self._settled([runs, *self._needs(wildcards)], done)

    def needs_of_round(self, wildcards: Any) -> list[Any]:
        """List the inputs of a run of a round, except the round: its environment and others' results."""
        rounds = f"{self.results}/{wildcards.experiment}/rounds"
        return self._settled(self._needs(wildcards), f"{rounds}/{wildcards.round}/{wildcards.place}.json")

    def needs_of_place(self, wildcards: Any) -> list[Any]:
        """List the inputs of a run of a search, except the search: its environment and others' results."""
        return self._settled(
            self._needs(wildcards), f"{self.results}/{wildcards.experiment}/search/{wildcards.place}.json"
        )

    def search_digest(self, wildcards: Any) -> str:
        """Hash what a search is asked with, so that Snakemake writes it again where it has changed."""
        return self.plan.experiments[wildcards.experiment].search_digest

    @property
    def search_resources(self) -> dict[str, OfWildcards]:
        """Return the resources of a run of a search: its own, and one of the search's places."""
        return self.resources | {resource_name(name): _one_place(name) for name in self.plan.searches}

    def results_needed(self, wildcards: Any) -> list[str]:
        """List the files that name the best run of each experiment that one needs."""
        return self.plan.best_of_needed(wildcards.experiment, f"{self.results}/{{experiment}}/best.json")

    def _needs(self, wildcards: Any) -> list[str]:
        return [*self.environment_of_pack(wildcards), *self.results_needed(wildcards)]

    def _settled(self, paths: list[str], done: str) -> list[Any]:
        """Mark inputs of a training that never train it again: what is trained stays trained.

        Ancient only once `done` exists: below a job that has to run, Snakemake (9.17 to 9.27) overlooks outputs that
        are missing behind an ancient input.
        """
        if os.path.exists(done):  # noqa: PTH110 - once a run
            return [self.ancient(path) for path in paths]
        self._refuse_to_share(done)
        return paths

    def _refuse_to_share(self, output: str) -> None:
        """End this start where another Snakemake makes the same file, which is missing."""
        if self.plan.other:
            self.plan.other.refuse(output, locks=self.locks)

    def best_options(self, wildcards: Any) -> list[str]:
        """Return the options of `runferry best`."""
        return self.plan.best_options(wildcards.experiment)

    def ends_of_experiment(self, wildcards: Any) -> list[str]:
        """List the files that record the ends of all runs of an experiment."""
        return self.plan.ends(
            wildcards.experiment,
            run=str(self.results / "{experiment}" / "{run}" / "trained.json"),
            place=str(self.results / "{experiment}" / "rounds" / "{round}" / "{place}.json"),
            point=str(self.results / "{experiment}" / "search" / "{place}.json"),
        )

    # Packs.

    def pack_content(self, wildcards: Any) -> str:
        """Return what a pack's `runs.json` says; the attempts in it have a pack that failed made anew."""
        return self.packs.pack(wildcards.experiment, wildcards.pack).line

    def done_of_pack(self, wildcards: Any) -> list[str]:
        """List the file that says that a run's pack was trained; none where the run is known to be trained."""
        pack = self.packs.pack_of.get(wildcards.run)
        if pack:
            self._refuse_to_share(f"{self.results}/{wildcards.experiment}/{wildcards.run}/trained.json")
        return [str(self.results / wildcards.experiment / "packs" / pack / "done.json")] if pack else []

    # Rounds of a bayes sweep.

    def round_size(self, wildcards: Any) -> int:
        """Return the number of runs of a round."""
        return self.plan.size_of_round(wildcards.experiment, int(wildcards.round))

    def ends_of_round(self, wildcards: Any) -> list[str]:
        """List the files that record the ends of a round's runs."""
        return self._ends(wildcards, int(wildcards.round))

    def ends_of_round_before(self, wildcards: Any) -> list[str]:
        """List the files that record the ends of the previous round's runs; none before the first."""
        return self._ends(wildcards, int(wildcards.round) - 1)

    def _ends(self, wildcards: Any, number: int) -> list[str]:
        folder = self.results / wildcards.experiment / "rounds" / str(number)
        return self.plan.places_of_round(wildcards.experiment, number, str(folder / "{place}.json"))


def _resource(name: str, request: Callable[[Any], Request]) -> OfWildcards:
    # None, where it is not to be asked for, leaves it out.
    key = request_key(name)
    return lambda wildcards: request(wildcards).resources.get(key)


def _one_place(search: str) -> OfWildcards:
    return lambda wildcards: int(wildcards.experiment == search)


def _one_of(names: Iterable[str] | Mapping[str, Any]) -> str:
    return "|".join(map(re.escape, names)) or "(?!)"

"""Answer the Snakefile's questions about the experiments of a config."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runferry.config.environments import PlannedEnvironment, plan_environments
from runferry.config.sync_place import is_remote
from runferry.workflow.pack_plan import PackPlan, plan_packs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.config.job_request import Request
    from runferry.config.search.search import Search
    from runferry.workflow.folder_lock import OtherController


@dataclass(frozen=True)
class Workflow:
    """A checked config, with its cluster, experiments and job requests."""

    config: Mapping[str, Any]
    cluster: Cluster
    experiments: Mapping[str, Experiment]
    requests: Mapping[str, Request]
    """What a job of each experiment asks for, by the experiment's name."""
    retries: int = 0
    """How often Snakemake may start a training again: 0 where nothing decides whether it should."""
    refusals: tuple[str, ...] = ()
    """What was refused, where only a plan is wanted; else the first one ends the start."""
    account: str | None = None
    """Which account pays, in words; None where none is needed."""
    cluster_in_file: str | None = None
    """What `config/config.yaml` says of the cluster, where a profile or the command line may say otherwise."""
    other: OtherController | None = None
    """Another Snakemake that works in this folder."""

    @cached_property
    def environments(self) -> Mapping[str, PlannedEnvironment]:
        """Return the environments that experiments run in, by name."""
        return plan_environments(self.config).environments

    def environment_files(self, name: str) -> list[str]:
        """List the files that an environment is built from."""
        return self.environments[name].files()

    def environment_options(self, name: str) -> list[str]:
        """Return the options of `runferry environment` that follow from the config and the cluster."""
        return self.environments[name].options(wheelhouse=self.cluster.wheelhouse)

    def environment_digest(self, name: str) -> str:
        """Hash what an environment is built from, so that Snakemake sees when it has to be built again."""
        return self.environments[name].specification(wheelhouse=self.cluster.wheelhouse).digest()

    def packs(self, results: Path, *, controller: bool) -> PackPlan:
        """Plan which runs share which jobs: see `runferry.workflow.pack_plan.plan_packs`."""
        return plan_packs(results, self.cluster, self.experiments, self.requests, controller=controller)

    @cached_property
    def searches(self) -> Mapping[str, Search]:
        """Return the searches, by the experiments' names."""
        return {name: one.search for name, one in self.experiments.items() if one.search}

    def points(self, pattern: str, *names: str) -> list[str]:
        """Fill `{experiment}` and `{place}` of `pattern` with every place of searches: of all, or of `names`."""
        return [
            path
            for name in names or self.searches
            if name in self.searches
            for path in self.searches[name].places(pattern.replace("{experiment}", name))
        ]

    def places(self, pattern: str, *names: str) -> list[str]:
        """Fill `{experiment}`, `{round}` and `{place}` of `pattern` for sweeps in rounds: of all, or of `names`."""
        return [
            path
            for name in names or self.experiments
            if (planned := self.experiments[name].rounds)
            for path in planned.places(pattern.replace("{experiment}", name))
        ]

    def best_of_needed(self, experiment: str, pattern: str) -> list[str]:
        """Fill `{experiment}` of `pattern` with the experiments that one needs."""
        return [pattern.replace("{experiment}", name) for name in self.experiments[experiment].needs]

    def ends(self, experiment: str, *, run: str, place: str, point: str) -> list[str]:
        """List the files that record the ends of all runs of an experiment: `run`, `place` or `point`, filled in."""
        one = self.experiments[experiment]
        paths = [run.replace("{experiment}", experiment).replace("{run}", name) for name in one.runs]
        return [*paths, *self.places(place, experiment), *self.points(point, experiment)]

    def best_options(self, experiment: str) -> list[str]:
        """Return the options of `runferry best`."""
        metric = self.experiments[experiment].metric
        return [] if metric is None else ["--metric", metric["name"], "--goal", metric.get("goal", "minimize")]

    def rounds_of(self, pattern: str) -> list[str]:
        """Fill `{experiment}` and `{round}` of `pattern` with every round of every bayes sweep."""
        return [
            pattern.replace("{experiment}", name).replace("{round}", str(number))
            for name, one in self.experiments.items()
            if one.rounds
            for number in range(1, one.rounds.number + 1)
        ]

    def size_of_round(self, experiment: str, number: int) -> int:
        """Return the number of runs of a round of a bayes sweep."""
        planned = self.experiments[experiment].rounds
        return planned.size_of(number) if planned else 0

    def places_of_round(self, experiment: str, number: int, pattern: str) -> list[str]:
        """Fill `{place}` of `pattern` with each place of a round; none of a round that does not exist."""
        planned = self.experiments[experiment].rounds
        return planned.places(pattern, number) if planned and number else []

    @property
    def listed(self) -> list[str]:
        """Return the names of the experiments whose runs are known beforehand."""
        return [name for name, one in self.experiments.items() if one.chosen_count is None]

    def ends_of_runs(self, *, synced: str, trained: str) -> list[str]:
        """Fill `synced`, or `trained` where another machine syncs, with every run of every experiment."""
        return self.targets(trained if is_remote(self.config) else synced)

    def ends_of_rounds(self, *, synced: str, place: str) -> list[str]:
        """Fill `synced` with every round of every bayes sweep; `place` with every run, where another machine syncs."""
        return self.places(place) if is_remote(self.config) else self.rounds_of(synced)

    def ends_of_points(self, *, synced: str, place: str) -> list[str]:
        """Fill `synced`, or `place` where another machine syncs, with every place of searches."""
        return self.points(place if is_remote(self.config) else synced)

    def targets(self, pattern: str) -> list[str]:
        """Fill `{experiment}` and `{run}` of `pattern` with every run of every experiment, in their order."""
        return [
            pattern.replace("{experiment}", experiment.name).replace("{run}", run)
            for experiment in self.experiments.values()
            for run in experiment.runs
        ]

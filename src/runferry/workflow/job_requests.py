"""Make the requests of experiments' jobs, find who pays, and collect what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runferry.config import site_limits
from runferry.config.account import account_in_words, given_account, known_accounts, resolve_account
from runferry.config.job_request import Request, make_request
from runferry.config.programs import check_program
from runferry.errors import ConfigError, RunferryError
from runferry.workflow.executor_choice import submits_several

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment


class PlanRefusals:
    """Collects refusals: the first one ends the start, unless only a plan or a dry run is wanted, which names all."""

    def __init__(self, *, dry_run: bool) -> None:
        self.found: list[str] = []
        self._dry_run = dry_run

    def check(self, check: Callable[[], None]) -> None:
        """Call `check`, and keep what it raises as a refusal, or let it through."""
        try:
            check()
        except RunferryError as error:
            from runferry.workflow.plan import record

            if record.wanted() is None and not self._dry_run:
                raise
            self.found.append(str(error))


def with_program(
    made: Mapping[str, Experiment], config: Mapping[str, Any], refusals: PlanRefusals
) -> dict[str, Experiment]:
    """Return the experiments whose script is there; the others are refused."""
    found: dict[str, Experiment] = {}
    for name, experiment in made.items():

        def check(name: str = name, experiment: Experiment = experiment) -> None:
            check_program(experiment, config)
            found[name] = experiment

        refusals.check(check)
    return found


def requests_of(
    made: Mapping[str, Experiment],
    cluster: Cluster,
    refusals: PlanRefusals,
    *,
    controller: bool,
) -> dict[str, Request]:
    """Make the request of a job with one run of each experiment; one that is refused is left out.

    Parameters
    ----------
    made, cluster
        What is to run, and where.
    refusals
        Get what is refused.
    controller
        Whether this is the Snakemake that the user started: in a job nothing is refused any more.
    """
    requests: dict[str, Request] = {}
    for name, experiment in made.items():

        def request(name: str = name, experiment: Experiment = experiment) -> None:
            # Without Slurm nothing waits for what it asks for: the first one counts.
            several = experiment.any_of and cluster.slurm
            make = _request_of_any if several else _request
            requests[name] = make(experiment, cluster, controller=controller)

        refusals.check(request)
    return requests


def _request(experiment: Experiment, cluster: Cluster, *, controller: bool) -> Request:
    found = make_request(experiment, cluster)
    if controller:
        site_limits.check_times([experiment], cluster)
        fullest = make_request(experiment, cluster, found.packing.capacity)
        site_limits.check_node(experiment, fullest, cluster)
    return found


def _request_of_any(experiment: Experiment, cluster: Cluster, *, controller: bool) -> Request:
    """Make the requests of an experiment's alternatives; the first with the others in it."""
    section = f"config: experiments.{experiment.name}.resources."
    made: list[Request] = []
    for number, one in enumerate(experiment.any_of):
        where = f"{section}any_of.{number}"
        try:
            found = _request(experiment.asking_for(one), cluster, controller=controller)
        except ConfigError as error:
            text = str(error)
            if not text.startswith(section):
                raise
            # It may stand in this one, or be wrong with it.
            raise ConfigError(f"{where} ({one.words}): {text.removeprefix(section)}") from error
        same = [other for other in made if (other.resources, other.account) == (found.resources, one.account)]
        if same:
            message = f"{where} ({one.words}): found the same request as that of ({same[0].words})"
            raise ConfigError(f"{message}, expected another; leave one of the two out")
        made.append(replace(found, words=one.words, account=one.account))
    # All are checked, also where another executor is to submit them.
    return replace(made[0], alternatives=tuple(made[1:])) if submits_several(sys.argv[1:]) else made[0]


class Payment:
    """Names the account of each request."""

    in_words: str | None = None
    """Which accounts pay, and whether Slurm was asked; None until it is found, and where there is no Slurm."""

    def find(self, requests: dict[str, Request], config: Mapping[str, Any], cluster: Cluster) -> None:
        """Put an account into each request, asking Slurm once.

        Raises
        ------
        AccountError
            As `resolve_account`.
        """
        if not cluster.slurm:
            return
        given, known = given_account(config), known_accounts()
        paying: list[str | None] = []

        def paid(request: Request) -> Request:
            account, suffix = request.account or given, _account_suffix(request, cluster)
            paying.append(resolve_account(account, cluster, known, gpu=request.gpus > 0, suffix=suffix))
            return request.paid_by(paying[-1])

        requests.update(
            {
                name: replace(paid(request), alternatives=tuple(map(paid, request.alternatives)))
                for name, request in requests.items()
            }
        )
        self.in_words = account_in_words(config, filter(None, paying), known)


def _account_suffix(request: Request, cluster: Cluster) -> str | None:
    return request.gpu.account_suffix if request.gpu else cluster.account_suffix

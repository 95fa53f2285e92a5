"""Check the config for the Snakefile, make its experiments, and end a start that cannot work.

The only module that knows that it is called by Snakemake; it does not import it.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from runferry.config import loading, site_limits
from runferry.config.account import given_account, known_accounts, resolve_account
from runferry.config.cluster import LOCAL, Cluster, find_cluster
from runferry.config.experiments import experiments
from runferry.config.profiles import chosen_profiles, option, read_profile
from runferry.config.sync_place import JOB, job_options
from runferry.errors import RunferryError
from runferry.launch.retries import RETRY_VARIABLE
from runferry.runs.slurm import NO_PARTITION
from runferry.sync.options import set_options
from runferry.system import text
from runferry.system.messages import debug_wanted, note_command, say, show_traceback, with_next_step
from runferry.trackers.registry import settings_of
from runferry.workflow.code import check_code
from runferry.workflow.folder_lock import look_at_lock
from runferry.workflow.job_requests import Payment, PlanRefusals, requests_of, with_program
from runferry.workflow.results_folder import check_results
from runferry.workflow.start_options import wants_dry_run
from runferry.workflow.targets import check_targets
from runferry.workflow.training_job import register_alternatives, register_experiments
from runferry.workflow.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runferry.config.experiment import Experiment

_CLUSTER_VARIABLE = "RUNFERRY_CLUSTER_OF_PROFILE"


def check_config_file(file: str, config: Mapping[str, Any]) -> str | None:
    """Refuse a config file that is malformed, empty or missing, before Snakemake reads it.

    Parameters
    ----------
    file
        `config/config.yaml`. It may be missing where `--configfile` names another.
    config
        What Snakemake has read of other files and the command line so far.

    Returns what it says of the cluster, which a profile may override.

    Not for a module: there the config comes from the workflow that uses it, and a file of that name is its own.
    """
    try:
        loading.check_config_file(Path(file), given=config)
        return loading.cluster_in(Path(file))
    except RunferryError as error:
        _stop(error)


def check_command_line(rules: Iterable[Any]) -> None:
    """Refuse a target that none of the rules makes; of a start by the user, and of no other workflow's."""
    try:
        check_targets(rules, sys.argv[1:])
    except RunferryError as error:
        _stop(error)


def keep_profiles_cluster(config: dict[str, Any], *, controller: bool) -> None:
    """Set the cluster that the profile names where the command line's `--configfile` has replaced the profile's own.

    Jobs are asked for and submitted as the profile says, so that its cluster comes before that of a config file. A
    Snakemake inside a job sees no profile; it has this from the one that the user started.

    Parameters
    ----------
    config
        Snakemake's merged config, which is changed.
    controller
        As in `load`.
    """
    if controller:
        os.environ.pop(_CLUSTER_VARIABLE, None)
        words = sys.argv[1:]
        if option(words, "--configfile", "--configfiles") and not any(word.startswith("cluster=") for word in words):
            for profile in chosen_profiles(words):
                # Snakemake itself says what is wrong with a profile.
                with suppress(RunferryError):
                    if name := read_profile(profile)[1].get("cluster"):
                        os.environ[_CLUSTER_VARIABLE] = str(name)
                        break
    if name := os.environ.get(_CLUSTER_VARIABLE):
        config["cluster"] = name


def load(  # noqa: PLR0913 - each is a keyword with a default
    config: Mapping[str, Any],
    schema_file: str,
    results: Path,
    *,
    controller: bool = True,
    jobs: int | None = None,
    cluster_in_file: str | None = None,
    as_module: bool = False,
) -> Workflow:
    """Check the config and make the experiments, or end Snakemake with one line that says what to fix.

    Parameters
    ----------
    config
        Snakemake's merged config.
    schema_file
        The path of `config.schema.yaml`, from `workflow.source_path`.
    results
        The folder of the experiments.
    controller
        Whether this is the Snakemake that the user started, not one inside a job: only there Slurm is asked for
        accounts, and only there a job is refused.
    jobs
        Snakemake's `--jobs`.
    cluster_in_file
        What `check_config_file` has returned.
    as_module
        Whether another workflow uses this one.
    """
    _put_on_path()
    if controller:
        note_command()
    else:
        _note_retry()
    try:
        checked = loading.validate(config, Path(schema_file))
        if "--lint" in sys.argv and loading.cluster_name(checked) is None:
            # The workflow catalog lints without a profile; nothing is run then.
            checked["cluster"] = LOCAL
        cluster = find_cluster(loading.cluster_name(checked))
        if controller and cluster.retired:
            _say_retired(cluster)
        _name_no_partition(asked=controller and cluster.slurm)
        refusals = PlanRefusals(dry_run=controller and wants_dry_run(sys.argv[1:]))
        tracker = settings_of(checked)
        refusals.check(lambda: tracker.check(checked, cluster))
        check_results(results)
        set_options(results, _sync_options(checked["sync"]))
        made = experiments_of(checked)
        if controller and cluster.slurm:
            # Before anything is submitted: a job gets a copy of this process's variables.
            tracker.put_keys_away(checked)
        for experiment in made.values():
            refusals.check(lambda one=experiment: tracker.check_experiment(one, made))
        if controller and not as_module:
            # As a module: another rule of the workflow above may make the script.
            made = with_program(made, checked, refusals)
        requests = requests_of(made, cluster, refusals, controller=controller)
        # What is left is what a plan shows.
        made = {name: experiment for name, experiment in made.items() if name in requests}
        refusals.check(lambda: site_limits.check_rounds(made, requests))
        retries, other, payment = 0, None, Payment()
        if controller:
            other = look_at_lock(say)
            refusals.check(
                lambda: set_options(results, [*_sync_options(checked["sync"]), *_job_options(checked, cluster)])
            )
            retries = _retries(results, made, cluster)
            refusals.check(lambda: site_limits.check_cap(jobs, cluster))
            refusals.check(lambda: check_code(made.values()))
            # Elsewhere, as for a dry run on a laptop, this folder is not the one that jobs will be submitted from.
            if shutil.which("sbatch"):
                refusals.check(lambda: site_limits.check_folder(Path.cwd(), cluster))
            refusals.check(lambda: payment.find(requests, checked, cluster))
            register_alternatives({results / name: request for name, request in requests.items()})
        found = tuple(refusals.found)
        return Workflow(checked, cluster, made, requests, retries, found, payment.in_words, cluster_in_file, other)
    except RunferryError as error:
        _stop(error)


def freeze_what_stays() -> None:
    """Exclude all objects in memory from Python's garbage collection, before Snakemake makes its jobs.

    The modules, the config and the runs are there to the end; as Snakemake makes objects for thousands of jobs, the
    collector would look at all of them again and again (benchmarks/scale.py, a dry run of 5,000 runs: 8.4 CPU seconds,
    without this 9.5).
    """
    gc.freeze()


def experiments_of(config: Mapping[str, Any]) -> dict[str, Experiment]:
    """Make the experiments of a checked config, with what the cluster asks of their jobs.

    Raises
    ------
    ConfigError
        As `find_cluster` and `experiments` do.
    """
    cluster = find_cluster(loading.cluster_name(config))
    tracker = settings_of(config)
    return experiments({**config, tracker.name: tracker.settings(config, cluster)})


def _retries(results: Path, made: Mapping[str, Experiment], cluster: Cluster) -> int:
    """Note which jobs train; return how often one may be started again at most, which its executor decides."""
    register_experiments({results / name: experiment.attempts for name, experiment in made.items()})
    most = max((experiment.attempts for experiment in made.values()), default=1)
    return most - 1 if cluster.slurm else 0


def _note_retry() -> None:
    """Tell the launcher which job this is of those that Snakemake starts, where a Snakemake inside of it starts that.

    Where the executor is ours there is none inside.
    """
    # What the controller's executor gives to this process (Snakemake 9.17 to 9.27).
    given = dict(pairwise(sys.argv)).get("--attempt", "")
    if given.isdigit():
        os.environ[RETRY_VARIABLE] = given


def _say_retired(cluster: Cluster) -> None:
    retired = cluster.retired
    if retired:
        data = f" (its data: {retired.data})" if retired.data else ""
        line = f"{cluster.title} is gone since {retired.since}{data}; use --profile profiles/{retired.successor}"
        say(line)


def _name_no_partition(*, asked: bool) -> None:
    """Keep the executor plugin from naming a partition: at these sites the scheduler chooses it by the time limit.

    Without one, the plugin (2.5.3 to 2.8.0) looks for the default partition in what `sinfo` prints and names that.
    `sinfo` prints the partitions of $SINFO_PARTITION only: none, where there is none by that name, and it is no error
    (Slurm 22.05; in its sources of 2026-08 too).
    """
    if asked:
        # sinfo refuses the two together.
        os.environ.pop("SINFO_ALL", None)
        os.environ["SINFO_PARTITION"] = NO_PARTITION
    elif os.environ.get("SINFO_PARTITION") == NO_PARTITION:
        # A job inherits the controller's environment; the user's command may well ask sinfo.
        del os.environ["SINFO_PARTITION"]


def _sync_options(section: Mapping[str, Any]) -> list[str]:
    """Word what the config says of syncing as options of `runferry sync`."""
    options = [f"--deadline={60 * text.minutes(section['deadline'])}", f"--parallel={section['parallel']}"]
    options.append(f"--read-back={section['read_back']}")
    if section["accept_missing"]:
        options.append("--accept-missing")
    if section["sweeps"]:
        options.append("--sweeps")
    return options


def _job_options(config: Mapping[str, Any], cluster: Cluster) -> list[str]:
    """Word in which job `runferry sync` is to sync, where the config says so."""
    account = None
    if cluster.slurm and config["sync"]["where"] == JOB:
        account = resolve_account(given_account(config), cluster, known_accounts(), gpu=False)
    return job_options(config, cluster, account)


def _put_on_path() -> None:
    """Let the rules' shell find `runferry` where PATH does not have it: a .venv that is not activated, a job on a node.

    At the end of PATH, so that no program of a workflow that uses this one as a module is hidden.
    """
    folder = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in folders:
        os.environ["PATH"] = os.pathsep.join([*folders, folder])


def _stop(error: RunferryError) -> NoReturn:
    show_traceback(debug=debug_wanted())
    # Not a WorkflowError: Snakemake would print the place in the Snakefile around the one line that matters.
    sys.exit(f"runferry: {with_next_step(error)}")

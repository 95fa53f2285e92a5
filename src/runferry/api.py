"""Create, train, sync and adopt runs from a plain script, submitit or Hydra: the Python API.

A run is a folder, `results/<experiment>/<run>`. `create_run` or `create_runs` makes it, `launch` trains it in a job,
`sync` brings it to the W&B server from the login node and gives it a receipt, `adopt` takes in offline runs that were
made without any of it. Everything is in files, so that each step may be in another process, on another machine, on
another day, and beside the command line and the workflow.

What is named in `__all__` stays as it is within a major version, as do the parameters that are documented.

>>> run = create_run("results/line/a", ["python", "-c", "print('trained')"], {"lr": 0.1})
>>> run.experiment, run.name, run.state
('line', 'a', 'pending')
>>> launch(run)  # here and now; in a job it is the same call
0
>>> run.state, "trained" in run.log.read_text().splitlines()
('finished', True)
>>> [synced.problem or synced.receipt.url for synced in sync(run)]  # on the login node  # doctest: +SKIP
['https://wandb.ai/me/line/runs/...']
>>> [run.name for run in find_runs("results/line")]
['a']
>>> {name: len(runs) for name, runs in create_runs({
...     "wandb": {"project": "line"},
...     "experiments": {"grid": {"sweep": {
...         "method": "grid", "program": "train.py", "parameters": {"lr": {"values": [0.1, 0.01]}}}}},
... }).items()}
{'grid': 2}
>>> adopt("old-project")  # of a folder without runs of W&B's
Traceback (most recent call last):
    ...
runferry.errors.ConfigError: old-project: ...
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runferry.api_run import Adopted, Receipt, Run, Synced, WandbRun
from runferry.config.single_run import make_single_run
from runferry.errors import ConfigError, LaunchError, RunferryError
from runferry.runs.ending import EXIT_STOPPED
from runferry.runs.folder import RunFolder, find_run_folders
from runferry.trackers.wandb.log.segment import Segment, history, read_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "STOPPED",
    "Adopted",
    "Receipt",
    "Run",
    "RunferryError",
    "Segment",
    "Synced",
    "WandbRun",
    "adopt",
    "create_run",
    "create_runs",
    "find_runs",
    "history",
    "launch",
    "read_segment",
    "sync",
]

STOPPED = EXIT_STOPPED
"""75, what `launch` returns for a run that was stopped and has more to do, as before a time limit: launch it again."""


def create_run(  # noqa: PLR0913 - each is a keyword with a default
    folder: str | os.PathLike[str],
    command: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    workdir: str | os.PathLike[str] = ".",
    environment: str | os.PathLike[str] | None = None,
    project: str | None = None,
    entity: str | None = None,
    tags: Sequence[str] = (),
) -> Run:
    """Make a run of one command, with W&B offline; a repeated call changes nothing.

    Parameters
    ----------
    folder
        `results/<experiment>/<run>`, with names of your choice. The W&B run id is a hash of these two names, the
        command and the parameters.
    command
        One argument an item, never a shell's line. In it `${args}` stands for the parameters as `--name=value`, as in
        a sweep's `command`; so do its other macros.
    parameters
        What `wandb.config` has, too.
    name
        What W&B shows; by default the folder's.
    workdir
        Where the command runs.
    environment
        The record that `runferry environment` has written, whose environment is unpacked on the node; without one, the
        command runs with the PATH as it is.
    project, entity
        Of W&B; by default `$WANDB_PROJECT` and `$WANDB_ENTITY`. What a script says to `wandb.init` wins.
    tags
        Of W&B.

    Raises
    ------
    ConfigError
        When the folder is another run's, the command has a macro that is not known, or there is no such environment.
    """
    made = make_single_run(
        folder,
        command,
        parameters,
        name=name,
        workdir=workdir,
        environment=environment,
        project=project,
        entity=entity,
        tags=tags,
    )
    return Run(made.path)


def create_runs(
    config: Mapping[str, Any] | str | os.PathLike[str], results: str | os.PathLike[str] = "results"
) -> dict[str, list[Run]]:
    """Make the runs of a config, as the workflow does: the same ids, in the same folders.

    Parameters
    ----------
    config
        A config as in `config/README.md`, or the path of one. Paths in it are relative to the current folder. What it
        says of jobs is the workflow's; environments that it names have to be there, built by the workflow or by
        `runferry environment`.
    results
        The folder of the experiments.

    Returns
    -------
    dict
        The runs of each experiment, by its name, in the order of its sweep or table.

    Raises
    ------
    ConfigError
        For whatever is wrong with the config, an online mode that the cluster does not allow, and a bayes sweep, whose
        runs only the workflow chooses.
    """
    from runferry.config.cluster import LOCAL, find_cluster
    from runferry.config.loading import cluster_name, read_config
    from runferry.config.site_limits import check_mode
    from runferry.workflow.entry import experiments_of

    checked = read_config(config)
    # It says how W&B may be reached from a job; offline, which is the default, nothing depends on it.
    checked["cluster"] = cluster_name(checked) or LOCAL
    check_mode(checked["wandb"], find_cluster(checked["cluster"]))
    experiments = experiments_of(checked)
    made: dict[str, list[Run]] = {}
    for name, experiment in experiments.items():
        if experiment.chosen_count:
            message = f"config: experiments.{name}: found a bayes sweep, expected one whose runs are known beforehand"
            raise ConfigError(f"{message}; the workflow chooses its runs while it goes on")
    for name, experiment in experiments.items():
        folder = Path(results).resolve() / name
        experiment.write(folder / "runs.tsv")
        made[name] = [Run(folder / run) for run in experiment.runs]
    return made


def find_runs(path: str | os.PathLike[str] = "results") -> list[Run]:
    """List the runs at or below a folder: a run's, an experiment's or the one of all results.

    Raises
    ------
    ConfigError
        When there is no such folder or no run in it.
    """
    return [Run(folder.path) for folder in find_run_folders(Path(path).resolve())]


def launch(run: Run | str | os.PathLike[str]) -> int:
    """Train a run here and now, as a job of the workflow does; a trained run is left as it is.

    Its command runs in the run's environment; signals to this process are passed on to it, it is warned before the time
    limit of the Slurm job that this is in, and what it logged is on disk when it has ended, however it ended. Until
    then the handlers of the signals that end jobs are the launcher's. It forks, so that no other thread should be at
    work.

    Returns
    -------
    int
        The command's exit code; 128 + N when signal N ended it; 75 (`STOPPED`) when it was stopped and has more to do.

    Raises
    ------
    LaunchError
        When this is not the process's main thread, where alone signals can be taken, or the run cannot be started.
    RunferryError
        When its environment or its data cannot be put onto the node.
    """
    from runferry.launch import launch as launcher

    if threading.current_thread() is not threading.main_thread():
        message = f"launch: found the thread {threading.current_thread().name}, expected the process's main thread"
        raise LaunchError(f"{message}; in another one run `runferry launch RUN_FOLDER` as a process")
    folder = _folder_of(run)
    folder.read_run()
    return 0 if folder.trained_file.exists() else launcher.launch(folder)


def sync(  # noqa: PLR0913 - each is a keyword with a default
    runs: Run | str | os.PathLike[str] | Iterable[Run | str | os.PathLike[str]] = "results",
    *,
    patience: float = 20.0,
    deadline: float = 600.0,
    parallel: int = 34,
    accept_missing: bool = False,
    read_back: Literal["sample", "all"] = "sample",
    say: Callable[[str], None] = lambda _line: None,
) -> list[Synced]:
    """Upload runs to the W&B server and verify them, as `runferry sync` does; nothing is sent twice.

    Parameters
    ----------
    runs
        Runs, or folders that have some: a run's, an experiment's, or that of all results.
    patience
        Seconds for which the server may go on counting before it is not believed.
    deadline
        Seconds that one `wandb sync` may take (and one more for each megabyte), and for which a server that answers
        429 or 5xx is asked again.
    parallel
        Runs that are sent at once.
    accept_missing
        Whether a run gets a receipt though files or artifacts are missing both on disk and on the server, segments
        are gone or cannot be read, or rows that were logged never reached the disk; it lists them.
    read_back
        Rows that are compared after they were sent: all of every run, or of one with over 2,000 rows a sample.
    say
        Takes lines for the user.

    Returns
    -------
    list of Synced
        One for each run. None is left out: a run that was never started has a `problem`.

    Raises
    ------
    ServerError
        When the server cannot be asked before anything is sent; no run has changed then.
    ConfigError
        When there is no such folder or no run in it.
    """
    from runferry.sync.engine import sync as sync_folders
    from runferry.sync.outcome import Limits

    folders: dict[Path, RunFolder] = {}
    for each in [runs] if isinstance(runs, Run | str | os.PathLike) else runs:
        found = [_folder_of(each)] if isinstance(each, Run) else find_run_folders(Path(each).resolve())
        folders.update({folder.path: folder for folder in found})
    limits = Limits(patience, deadline, parallel, accept_missing, read_back=read_back)
    outcomes = sync_folders(list(folders.values()), limits, say=say)
    return [Synced(Run(outcome.folder.path), outcome.problem) for outcome in outcomes]


def adopt(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    results: str | os.PathLike[str] = "results",
    experiment: str = "adopted",
) -> list[Adopted]:
    """Move offline runs made without runferry into the results folder, so that `sync` can write their receipts.

    Parameters
    ----------
    paths
        Folders with `offline-run-*` in them, at any depth.
    results, experiment
        They are moved to `<results>/<experiment>/<run id>/wandb/`.

    Raises
    ------
    ConfigError
        When a path is not there or holds no offline run.
    """
    from runferry.sync.adopt import adopt_segments

    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    done = adopt_segments([Path(path) for path in given], Path(results).resolve(), experiment)
    return [Adopted(each.segment, Run(each.folder.path) if each.folder else None, each.left) for each in done]


def _folder_of(run: Run | str | os.PathLike[str]) -> RunFolder:
    return RunFolder(run.path if isinstance(run, Run) else Path(run).resolve())

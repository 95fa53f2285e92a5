"""Put together what `runferry init` writes: the config, a sweep, requirements where pip has none to read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.cluster import facts
from runferry.config.repository.command import command_of_script, first_sweep, plain_command
from runferry.config.repository.job_script import read_job_script
from runferry.config.repository.packages import WRITTEN, Packages, find_packages
from runferry.config.repository.parameters import find_metric, find_parameters
from runferry.config.repository.scripts import find_scripts, read_script
from runferry.config.repository.sweeps import find_sweeps, free_name, sweep_text, yaml_line
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.config.cluster import Cluster
    from runferry.config.repository.job_script import JobScript
    from runferry.config.repository.scripts import Script
    from runferry.config.repository.sweeps import FoundSweep

CONFIG = Path("config") / "config.yaml"
SWEEP = Path("config") / "sweep.yaml"
_ON_GPUS = frozenset({"torch", "tensorflow", "jax", "flax", "keras", "lightning", "pytorch_lightning", "transformers"})
_LEFT_LINES = 12
"""Of a job script, that are written into the config as comments; there may be many."""


@dataclass
class Proposal:
    """What was found, and what is to be written."""

    folder: Path
    """The repository."""
    found: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    """What the user should know or do."""
    files: dict[Path, str] = field(default_factory=dict[Path, str])


@dataclass(frozen=True)
class Asked:
    """What the user has said, and what the machine says of the user.

    Attributes
    ----------
    cluster : Cluster
    script : Path or None
        The script that trains, where the user names it.
    job_script : Path or None
        The job script that the user has today.
    accounts : Sequence of str
        The user's Slurm accounts, without `_cpu` and `_gpu`.
    account : str or None
        What the user or the environment names.
    """

    cluster: Cluster
    script: Path | None = None
    job_script: Path | None = None
    accounts: Sequence[str] = ()
    account: str | None = None


def propose(folder: Path, asked: Asked) -> Proposal:
    """Find in a repository what a first config needs; write nothing.

    Parameters
    ----------
    folder
        The repository: where Snakemake will work.
    asked
        What the user has said.

    Raises
    ------
    ConfigError
        When there is a config already, or no script that logs to W&B, or a file that is named cannot be read.
    """
    if (folder / CONFIG).exists():
        message = f"found {CONFIG}, expected none: init overwrites nothing; to see its plan"
        raise ConfigError(f"{message}, run: runferry plan --profile {asked.cluster.name}")
    made = Proposal(folder)
    job = read_job_script(asked.job_script) if asked.job_script else None
    sweeps = find_sweeps(folder)
    script, others = _script(folder, asked, job, sweeps)
    made.found.append(f"{script.file}, which logs to W&B" + f" (project {script.project})" * bool(script.project))
    if others:
        made.notes.append(f"{', '.join(map(str, others[:3]))}: log to W&B too; --script FILE takes another one")
    packages = _packages(folder, script, job)
    if packages.lines:
        packages = replace(packages, source=free_name(packages.source, folder))
    made.found.append(packages.found)
    made.notes += packages.notes
    if lacking := [name for name in packages.left_out if not re.match(r"python\b", name)]:
        made.notes.append(f"{packages.source}: left out {', '.join(lacking)}, which pip does not have")
    if packages.lines:
        made.files[packages.source] = "\n".join(packages.lines) + "\n"
    experiment, project = _experiment(script, packages, job, sweeps, made)
    resources = _resources(script, job, asked.cluster, made)
    lines = _head(script, job)
    lines += _account_lines(asked, job, made)
    lines += _wandb_lines(project or _project_name(folder), script)
    lines += _environment_lines(packages, job, asked.cluster)
    lines += ["experiments:", f"  {_experiment_name(script, folder)}:", *(f"    {line}" for line in experiment)]
    if job and job.staged:
        lines.append("    stage:  # put onto the node: ${data} in the command, $RUNFERRY_DATA in the script")
        lines += [f"      - {yaml_line({'from': str(source)})}" for source in job.staged]
    if job and job.variables:
        lines += ["    variables:", *(f"      {name}: {yaml_line(value)}" for name, value in job.variables.items())]
    comment = "of one run" + "; cores and memory are what the site recommends" * ("cores" not in resources)
    lines.append(f"    resources: {yaml_line(resources)}  # {comment}")
    lines += _left_lines(job, made)
    made.files[CONFIG] = "\n".join(lines) + "\n"
    return made


def _script(folder: Path, asked: Asked, job: JobScript | None, sweeps: list[FoundSweep]) -> tuple[Script, list[Path]]:
    """Choose the script that trains; return the other ones, too."""
    if asked.script:
        return read_script(folder, asked.script), []
    scripts = find_scripts(folder)
    words = {word.removeprefix("./") for _, _, command in job.commands for word in command} if job else set[str]()
    programs = {str(sweep.program) for sweep in sweeps}
    for named in (words, programs):
        for script in scripts:
            if str(script.file) in named or script.file.name in named:
                return script, []
    # A script that the job script starts, though it does not show how it logs.
    for word in sorted(words):
        if word.endswith(".py") and (folder / word).is_file():
            return read_script(folder, Path(word)), []
    if not scripts:
        message = f"found no Python file in {folder} that calls wandb.init(), expected the script that trains"
        raise ConfigError(f"{message}; name it: runferry init --script FILE")
    return scripts[0], [script.file for script in scripts[1:]]


def _packages(folder: Path, script: Script, job: JobScript | None) -> Packages:
    if job and job.container and (folder / job.container).is_file():
        return Packages("container", Path(job.container), f"{job.container}, the image of {job.file}")
    packages = find_packages(folder, script)
    if job and packages.found.startswith("no requirements"):
        venv = Path(job.venv).expanduser() if job.venv else None
        if venv and (venv / "pyvenv.cfg").is_file():
            return Packages("venv", venv, f"{venv}, the virtual environment of {job.file}")
        if job.installed:
            # Paths in a requirements file are relative to it.
            lines = [re.sub(r"^-r (?!/)", "-r ../", line) for line in job.installed]
            lines += [] if any(re.match(r"wandb\b|-r", line) for line in lines) else ["wandb"]
            head = f"# What {job.file} has pip install."
            return Packages("requirements", WRITTEN, f"what {job.file} installs", (head, *lines))
    return packages


def _experiment(
    script: Script,
    packages: Packages,
    job: JobScript | None,
    sweeps: list[FoundSweep],
    made: Proposal,
) -> tuple[list[str], str | None]:
    """Return the lines of the experiment that say its runs, and the W&B project that a script or sweep names."""
    usable = [sweep for sweep in sweeps if sweep.refused is None and _starts(sweep, script)]
    made.notes += [f"{sweep.refused}; so a new sweep is written" for sweep in sweeps if sweep.refused and not usable]
    if usable:
        sweep = usable[0]
        made.found.append(f"{sweep.file}, a sweep definition")
        if len(usable) > 1:
            made.notes.append(
                f"{', '.join(str(one.file) for one in usable[1:])}: sweeps too; add an experiment for each"
            )
        lines = [f"sweep: {sweep.file}  # which runs"]
        lines += ["count: 10  # the definition has no run_cap"] * sweep.needs_count
        return lines, script.project or sweep.definition.get("project")
    words = command_of_script(script, packages.scripts, installed=packages.key == "pyproject")
    first = first_sweep(script, find_parameters(script), job, words, SWEEP)
    made.notes += first.notes
    if not first.varied and not first.fixed:
        made.notes.append(f"{script.file}: found no parameters; so it is one run, without a sweep")
        return [f"command: {yaml_line(plain_command(first))}  # a sweep in its place: `sweep: FILE`"], script.project
    file = free_name(SWEEP, made.folder, made.files)
    made.files[file] = sweep_text(first, find_metric(script.trees))
    return [f"sweep: {file}  # which runs: edit it"], script.project


def _starts(sweep: FoundSweep, script: Script) -> bool:
    return sweep.program in {None, script.file} or str(script.file) in map(str, sweep.definition.get("command") or ())


def _resources(script: Script, job: JobScript | None, cluster: Cluster, made: Proposal) -> dict[str, object]:
    if job is None:
        if script.imports & _ON_GPUS and cluster.default_gpu:
            return {"gpus": 1, "time": "1h"}
        return {"gpus": 0, "cores": 2, "memory": "4G", "time": "1h"}
    asked = job.resources()
    if not cluster.gpus and asked["gpus"]:
        made.notes.append(f"{job.file}: its GPU is left out, since {cluster.title} has none that jobs ask for")
        asked = {name: value for name, value in asked.items() if name != "gpu"} | {"gpus": 0}
    gpu = asked.get("gpu")
    if gpu and str(gpu).lower() not in cluster.gpu_names:
        made.notes.append(f"{job.file}: {gpu} is no GPU of {cluster.title}; the usual one is asked for")
        del asked["gpu"]
    return asked if "time" in asked else {**asked, "time": "1h"}


def _head(script: Script, job: JobScript | None) -> list[str]:
    of = f"{script.file} and {job.file}" if job else str(script.file)
    return [f"# Written by `runferry init` from {of}. Every key: config/README.md of runferry."]


def _account_lines(asked: Asked, job: JobScript | None, made: Proposal) -> list[str]:
    if not asked.cluster.slurm:
        return []
    named = asked.account or (job.account if job else None)
    named = re.sub(r"_(cpu|gpu)$", "", named) if named else None
    known = list(asked.accounts)
    chosen = named or next((name for name in known if name.startswith("def-")), known[0] if known else None)
    if chosen is None:
        if not asked.cluster.account_required:
            return []
        made.notes.append(f"account: found none; write yours into {CONFIG}, or set SBATCH_ACCOUNT")
        return ["account: null  # who pays, such as def-<pi>: fill it in"]
    if len(known) > 1:
        made.notes.append(f"account: {chosen} pays; yours are {', '.join(known)}")
    return [f"account: {yaml_line(chosen)}  # who pays"]


def _wandb_lines(project: str, script: Script) -> list[str]:
    comment = f"  # as {script.file} says" if project == script.project else ""
    lines = ["wandb:", f"  project: {yaml_line(project)}{comment}"]
    return [*lines, f"  entity: {yaml_line(script.entity)}"] if script.entity else lines


def _environment_lines(packages: Packages, job: JobScript | None, cluster: Cluster) -> list[str]:
    python = facts(cluster.name)["modules"]["python"]
    modules = job.modules if job and job.modules else [python] if python else []
    lines = ["environment:  # built once, and unpacked by every job"]
    if modules and not cluster.slurm:
        lines.append(f"  # modules: {yaml_line(modules)}  # on a cluster")
    elif modules:
        lines.append(f"  modules: {yaml_line(modules)}")
    return [*lines, f"  {packages.key}: {yaml_line(str(packages.source))}"]


def _left_lines(job: JobScript | None, made: Proposal) -> list[str]:
    if job is None or not job.left:
        return []
    numbers = ", ".join(str(number) for number, _ in job.left)
    made.notes.append(f"{job.file}: not taken over: line{'s' * (len(job.left) > 1)} {numbers}; see the end of {CONFIG}")
    shown = [f"#   {number}: {line}" for number, line in job.left[:_LEFT_LINES]]
    return [
        f"# Not taken over from {job.file}; data for the node is `stage`, a file to be brought back `collect`:",
        *shown,
    ]


def _experiment_name(script: Script, folder: Path) -> str:
    stem = script.file.stem if script.file.stem not in {"main", "run", "__main__", "environments"} else folder.name
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", stem).lstrip("-_.")[:64]
    return name if name and name.casefold() != "environments" else "training"


def _project_name(folder: Path) -> str:
    return re.sub(r"[/\\#?%:\x00-\x1f]", "-", folder.resolve().name)[:128] or "runs"

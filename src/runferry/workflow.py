"""What the Snakefile asks: the config checked, the experiments, and how to end a start that cannot work.

The only module that knows that it is called by Snakemake; it does not import it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from runferry import config as configuration
from runferry.cluster import Cluster, find_cluster
from runferry.errors import RunferryError
from runferry.experiment import Experiment, experiments

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Workflow:
    """A checked config and what follows from it."""

    config: Mapping[str, Any]
    cluster: Cluster
    experiments: Mapping[str, Experiment]

    @property
    def requirements(self) -> list[str]:
        """The files that the environment is built from."""
        requirements = self.config["environment"]["requirements"]
        return [requirements] if requirements else []

    @property
    def environment_options(self) -> list[str]:
        """The options of `runferry environment` that follow from the config and the cluster."""
        section = self.config["environment"]
        options = ["--python", section["python"]] if section["python"] else []
        for module in section["modules"]:
            options += ["--module", module]
        return [*options, "--no-index"] if self.cluster.wheelhouse else options

    def targets(self, pattern: str) -> list[str]:
        """Fill `{experiment}` and `{run}` of `pattern` with every run of every experiment, in their order."""
        return [
            pattern.replace("{experiment}", experiment.name).replace("{run}", run)
            for experiment in self.experiments.values()
            for run in experiment.runs
        ]


def check_config_file(file: str) -> None:
    """Refuse a malformed config file, with line and column, before Snakemake reads it; a missing one is left to it."""
    try:
        configuration.check_yaml(Path(file))
    except RunferryError as error:
        _stop(error)


def load(config: Mapping[str, Any], schema_file: str) -> Workflow:
    """Check the config and make the experiments, or end Snakemake with one line that says what to mend.

    Parameters
    ----------
    config
        Snakemake's merged config.
    schema_file
        The path of `config.schema.yaml`, from `workflow.source_path`.
    """
    _put_on_path()
    try:
        checked = configuration.validate(config, Path(schema_file))
        cluster = find_cluster(configuration.cluster_name(checked))
        return Workflow(checked, cluster, experiments(checked))
    except RunferryError as error:
        _stop(error)


def _put_on_path() -> None:
    """Let the rules' shell find `runferry` where PATH does not have it: a .venv that is not activated, a job on a node.

    At the end of PATH, so that no program of a workflow that uses this one as a module is hidden.
    """
    folder = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in folders:
        os.environ["PATH"] = os.pathsep.join([*folders, folder])


def _stop(error: RunferryError) -> NoReturn:
    # Not a WorkflowError: Snakemake would print the place in the Snakefile around the one line that matters.
    sys.exit(f"runferry: {error}")

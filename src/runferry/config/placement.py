"""Choose the partition, the quality of service and the constraint that a job names, and pass the user's own words."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.config.gpus import Gpu, Tier


def placement(experiment: Experiment, cluster: Cluster, gpu: Gpu | None, minutes: int, extra: str) -> dict[str, str]:
    """Return the resources that place a job, by the Slurm plugin's names; what the user says comes first.

    Parameters
    ----------
    minutes
        The job's time: a site's qualities of service differ by it.
    extra
        What `slurm_extra` says already; options for which the plugin has no resource come behind it.

    Raises
    ------
    ConfigError
        Where the site wants a quality of service that depends on the user's project, and the config names none.
    """
    said = experiment.slurm
    usual = None if cluster.jobs is None else cluster.jobs.gpu if gpu else cluster.jobs.cpu
    partition = said.get("partition") or (gpu and gpu.partition) or (usual and usual.partition)
    qos = said.get("qos") or _tier((gpu and gpu.qos) or (usual.qos if usual else ()), minutes)
    if usual and usual.qos_prefix and qos is None:
        where = f"config: experiments.{experiment.name}.resources.qos"
        expected = f"expected one that begins with {usual.qos_prefix}, which {cluster.title} wants named"
        raise ConfigError(
            f"{where}: found none, {expected}; yours: sacctmgr show assoc user=$USER format=account,qos%80"
        )
    words = [extra] if extra else []
    words += [f"--{key}={shlex.quote(said[key])}" for key in ("reservation", "exclude") if key in said]
    if "mail" in said:
        words += [f"--mail-user={shlex.quote(said['mail'])}", "--mail-type=END,FAIL"]
    named = {
        "slurm_partition": partition,
        "qos": qos,
        "constraint": said.get("constraint") or (gpu and gpu.constraint),
        "slurm_extra": " ".join(words),
    }
    return {name: value for name, value in named.items() if value}


def _tier(tiers: Sequence[Tier], minutes: int) -> str | None:
    """Return the first that takes the time; the last where none does, which is refused elsewhere with its reason."""
    return next((tier.name for tier in tiers if minutes <= tier.longest), tiers[-1].name if tiers else None)

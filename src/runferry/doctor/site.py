"""Find out where the doctor runs and what is expected there: the cluster's facts, the profile, the config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.account import given_account
from runferry.config.cluster import Cluster, facts, find_cluster
from runferry.config.loading import cluster_name, load_yaml
from runferry.config.profiles import find_profile, read_profile
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIG = Path("config") / "config.yaml"
"""Where the workflow looks for the config, in its working folder."""


@dataclass(frozen=True)
class Site:
    """The cluster that the doctor runs on, its facts, and the user's settings.

    Attributes
    ----------
    cluster : Cluster
    facts : Mapping
        The file that `cluster` was made from, for what it leaves out.
    settings : Mapping
        The profile's.
    account : str or None
        As the user says it.
    base_url : str or None
        The config's `wandb.base_url`.
    folder : Path
        Where jobs would be submitted from.
    addresses : tuple
        What a compute node tries to reach besides W&B's server.
    """

    cluster: Cluster
    facts: Mapping[str, Any]
    settings: Mapping[str, Any]
    account: str | None
    base_url: str | None
    folder: Path
    addresses: tuple[str, ...]

    @property
    def python_module(self) -> str | None:
        """Return the name of the module that brings Python; None where the facts name none."""
        return self.facts["modules"]["python"]

    @property
    def sources(self) -> list[str]:
        """List the pages that the cluster's facts were read from, and when."""
        return [f"{source['page']} (read {source['read']})" for source in self.facts["sources"].values()]


def find_site(profile: str | None, account: str | None, addresses: Sequence[str], folder: Path) -> Site:
    """Read the profile and the config as the workflow would, as far as the doctor needs them.

    Parameters
    ----------
    profile
        As Snakemake is given it, or the name of a shipped one; None leaves the cluster to the config or `$CC_CLUSTER`.
    account
        From the command line; it comes before the config's and the environment's.
    addresses
        As in `Site`.
    folder
        The working folder.

    Raises
    ------
    ConfigError
        When the profile or the config cannot be read, or no cluster is named that runferry knows.
    """
    settings, config = read_profile(find_profile(profile)) if profile else ({}, {})
    own = load_yaml(folder / CONFIG) if (folder / CONFIG).is_file() else None
    if is_mapping(own):
        config = {**own, **config}
    if account:
        config = {**config, "account": account}
    cluster = find_cluster(cluster_name(config))
    account = given_account(config)
    return Site(cluster, facts(cluster.name), settings, account, _base_url(config), folder, tuple(addresses))


def configured_base_url(folder: Path) -> str | None:
    """Return the `wandb.base_url` of the config in a folder; None where there is no config, or it names none.

    Raises
    ------
    ConfigError
        When the config cannot be read.
    """
    config = load_yaml(folder / CONFIG) if (folder / CONFIG).is_file() else None
    return _base_url(config) if is_mapping(config) else None


def _base_url(config: Mapping[str, Any]) -> str | None:
    wandb = config.get("wandb")
    return wandb.get("base_url") if is_mapping(wandb) else None

"""What a cluster allows."""

from __future__ import annotations

from dataclasses import dataclass

from runferry.config import suggest
from runferry.errors import ConfigError


@dataclass(frozen=True)
class Cluster:
    """The facts of one cluster that the rules need."""

    name: str
    wheelhouse: bool
    """Whether pip finds the site's own wheels and must use nothing else (`--no-index`)."""


# The Alliance's clusters share one wheelhouse; Mila has none (read in both sites' documentation, 2026-08).
_CLUSTERS = {
    cluster.name: cluster
    for cluster in (
        Cluster("local", wheelhouse=False),
        Cluster("mila", wheelhouse=False),
        *(
            Cluster(name, wheelhouse=True)
            for name in (
                "beluga",
                "cedar",
                "fir",
                "graham",
                "killarney",
                "narval",
                "nibi",
                "rorqual",
                "tamia",
                "trillium",
                "vulcan",
            )
        ),
    )
}


def find_cluster(name: str | None) -> Cluster:
    """Find a cluster by its name.

    Raises
    ------
    ConfigError
        When there is no name, or it is none that runferry knows.
    """
    known = ", ".join(sorted(_CLUSTERS))
    if name is None:
        message = f"config: cluster: found nothing, and no $CC_CLUSTER; expected one of {known}"
        raise ConfigError(f"{message}, or a profile: --profile profiles/local")
    if name not in _CLUSTERS:
        message = f"config: cluster: found {name!r}, expected one of {known}{suggest(name, _CLUSTERS)}"
        raise ConfigError(message)
    return _CLUSTERS[name]

"""Compute what a site bills for a job: the largest of the shares of its GPUs, cores and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runferry.config.cluster import Bundle
    from runferry.config.job_request import Request

_ROUNDED = 1.01
"""The bundles are published with three digits: what a site recommends for one GPU comes out as up to 0.4 % more."""


def billed(request: Request, bundle: Bundle | None) -> tuple[float | None, str | None]:
    """Return what a node of a GPU job is billed, in reference GPU units (RGU), and which of the three shares that is.

    Parameters
    ----------
    request
        What a job asks for.
    bundle
        The cores and memory that the site counts as one unit; None where that is not established: then it is the
        GPUs' own units, and nobody knows whether they are the largest.

    Returns
    -------
    tuple
        None for a job without GPUs, and where the units of its GPU model are not known; "GPUs", "cores", "memory" or
        None.
    """
    if request.gpu is None or request.gpu.rgu is None:
        return None, None
    gpus = request.gpus * request.gpu.rgu
    if bundle is None:
        return gpus, None
    shares = {"cores": request.cores / bundle.cores, "memory": (request.memory or 0) / bundle.memory}
    largest = max(shares, key=lambda name: shares[name])
    return (shares[largest], largest) if shares[largest] > _ROUNDED * gpus else (gpus, "GPUs")

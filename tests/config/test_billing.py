"""What a job is billed: the largest of three shares, by the figures of the sites' pages."""

from __future__ import annotations

import pytest

from runferry.config.billing import billed
from runferry.config.cluster import find_cluster
from runferry.config.job_request import make_request
from support.errors.provoking import one


@pytest.mark.parametrize(
    ("cluster", "given", "units", "by"),
    [
        # The page's own example: twice the cores and memory of one A100.
        ("narval", {"gpus": 1, "cores": 24, "memory": 248 * 1024}, 8.0, "cores"),
        ("narval", {"gpus": 1, "cores": 12, "memory": 248 * 1024}, 7.97, "memory"),
        ("narval", {"gpus": 1, "gpu": "a100_3g.20gb"}, 2.0, "GPUs"),
        ("narval", {"gpus": 1, "gpu": "a100_2g.10gb", "cores": 12}, 4.0, "cores"),
        # What is recommended is billed as the GPUs, though the bundles are rounded.
        *((cluster, {"gpus": 1}, units, "GPUs") for cluster, units in (("narval", 4.0), ("fir", 12.2), ("nibi", 12.2))),
        *((cluster, {"gpus": 4}, 48.8, "GPUs") for cluster in ("rorqual", "trillium")),
        # Not established: the GPUs' own units, or nothing.
        ("tamia", {"gpus": 4, "cores": 48}, 48.8, None),
        ("vulcan", {"gpus": 1}, None, None),
        # An allocation of cores pays for it.
        ("narval", {"cores": 64}, None, None),
    ],
)
def test_the_largest_share_is_billed(cluster, given, units, by):
    found = find_cluster(cluster)
    assert billed(make_request(one(**given), found), found.bundle) == (pytest.approx(units, abs=0.01), by)

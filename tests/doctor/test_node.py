"""What a compute node sees, compared with the facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runferry.doctor import node
from support.doctored import marks, of_cluster


@pytest.mark.parametrize(
    ("name", "url", "with_module", "expected"),
    [
        ("narval", "server", False, False),
        ("narval", "server", True, True),
        ("narval", "https://storage.googleapis.com", True, False),
        ("trillium", "server", False, False),
        ("fir", "server", False, True),
        ("fir", "https://pypi.org", False, None),
    ],
)
def test_what_a_node_reaches_is_compared_with_the_page_on_wandb(tmp_path, name, url, with_module, expected):
    cluster = of_cluster(name, tmp_path).cluster
    assert node._expected(cluster, url, "server", with_module=with_module) is expected


def test_a_nodes_disk_is_compared_with_what_the_site_says(tmp_path, site, monkeypatch):
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    small = list(node._local_disk(replace(site.cluster, node_local="9000T")))
    assert marks(small)["$SLURM_TMPDIR, its size"] == "differs"
    large = list(node._local_disk(replace(site.cluster, node_local="0.1G; H100 800G")))
    assert marks(large)["$SLURM_TMPDIR, its size"] == "ok"
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "gone"))
    assert [finding.mark for finding in node._local_disk(site.cluster)] == ["differs"]


def test_a_nodes_gpus_are_counted_and_their_numbers_left_out(programs, monkeypatch):
    programs("nvidia-smi", "echo 'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-6d6)'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert [(finding.mark, finding.found) for finding in node._gpus(1)] == [
        ("ok", "0"),
        ("info", "GPU 0: NVIDIA A100-SXM4-40GB"),
    ]
    assert next(iter(node._gpus(4))).mark == "differs"

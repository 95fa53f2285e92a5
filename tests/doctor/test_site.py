"""Which site a login node is examined as."""

from __future__ import annotations

import pytest

from runferry.cli.main import main
from runferry.config.cluster import cluster_names
from runferry.doctor.site import find_site
from support.doctored import of_cluster
from support.paths import ROOT


@pytest.mark.parametrize("name", cluster_names())
def test_each_profile_leads_to_its_cluster(name, tmp_path):
    assert of_cluster(name, tmp_path).cluster.name == name


def test_the_config_of_the_folder_and_the_command_line_count(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(
        "account: def-mine\nwandb: {project: p, base_url: https://w.example}"
    )
    found = of_cluster("narval", tmp_path)
    assert (found.account, found.base_url) == ("def-mine", "https://w.example")
    assert of_cluster("narval", tmp_path, "def-other").account == "def-other"
    monkeypatch.setenv("CC_CLUSTER", "fir")
    assert find_site(None, None, (), tmp_path).cluster.name == "fir"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "nowhere"], "profile: found 'nowhere', expected one of beluga, "),
        ([], "config: cluster: found nothing, and no $CC_CLUSTER"),
        (
            ["--profile", str(ROOT / "profiles" / "local"), "--probe"],
            "--probe: found cluster local, which has no Slurm",
        ),
    ],
)
def test_wrong_usage_is_one_line(words, said, capfd):
    assert main(["doctor", *words]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line

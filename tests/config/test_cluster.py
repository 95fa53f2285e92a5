"""The facts of each cluster: whole, in the form that the schema says, and read one file at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from runferry.config import cluster
from runferry.config.cluster import cluster_names, facts, find_cluster
from runferry.errors import ConfigError

SCHEMA = yaml.safe_load((Path(cluster.__file__).parents[1] / "clusters" / "schema.yaml").read_text())


def test_these_are_the_clusters():
    pages = ["beluga", "cedar", "graham", "narval", "rorqual", "tamia", "vulcan"]
    europe = ["jeanzay", "juwels", "leonardo", "marenostrum5"]
    assert cluster_names() == sorted([*pages, *europe, "fir", "killarney", "local", "mila", "nibi", "trillium"])


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", cluster_names())
def test_facts_have_the_form_that_the_schema_says(name):
    errors = [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(facts(name))]
    assert errors == []


def test_a_fact_of_another_form_is_found():
    given = facts("narval")
    given["jobs"]["cap"] = "1000"
    assert not Draft202012Validator(SCHEMA).is_valid(given)


@pytest.mark.parametrize("name", cluster_names())
def test_facts_fit_together(name):
    found = find_cluster(name)
    assert found.name == name
    assert found.slurm == (name != "local")
    if found.gpus:
        assert found.default_gpu is not None
        assert not found.gpus[found.default_gpu].instance
    for section in (facts(name)["gpu"] or {}).get("instances", {}).values():
        assert section["of"] in found.gpus
    if found.retired:
        successor = find_cluster(found.retired.successor)
        assert successor.retired is None
    if found.wandb.availability == "limited":
        assert found.wandb.module == "httpproxy"
    for model in (facts(name)["gpu"] or {}).get("models", {}).values():
        if model["cores"] and model.get("node_cores"):
            assert model["cores"] * model["per_node"] <= model["node_cores"]


@pytest.mark.parametrize(
    ("availability", "names"),
    [
        ("limited", ["beluga", "narval", "rorqual", "tamia"]),
        ("no", ["graham", "jeanzay", "juwels", "leonardo", "marenostrum5", "trillium"]),
        ("yes", ["cedar", "fir", "killarney", "local", "mila", "nibi", "vulcan"]),
    ],
)
def test_availability_of_wandb(availability, names):
    assert [name for name in cluster_names() if find_cluster(name).wandb.availability == availability] == names


def test_limits_are_read_in_minutes_and_mebibytes():
    tamia = find_cluster("tamia")
    assert tamia.jobs is not None
    assert tamia.jobs.longest_gpu == 1440
    assert tamia.gpus["h100"].memory == 128 * 1024
    assert tamia.gpus["h100"].counts == (4,)
    trillium = find_cluster("trillium")
    assert trillium.jobs is not None
    assert trillium.jobs.shortest == 15
    assert trillium.gpus["h100"].counts == (1, 4)


def test_only_the_file_that_is_needed_is_read(monkeypatch):
    read = []
    original = Path.read_text

    def read_text(self, *arguments, **keywords):
        read.append(self.name)
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", read_text)
    find_cluster("narval")
    assert read == ["narval.yaml"]


@pytest.mark.parametrize(
    ("name", "said"),
    [(None, "found nothing, and no $CC_CLUSTER"), ("narvall", "did you mean narval?"), ("schema", "found 'schema'")],
)
def test_an_unknown_cluster_is_refused(name, said):
    with pytest.raises(ConfigError) as caught:
        find_cluster(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)

"""What a config may say, and the one line that a wrong one gets."""

from __future__ import annotations

import pytest

from runferry.config import loading
from runferry.errors import ConfigError
from runferry.system import text
from support.paths import SCHEMA

SMALLEST = {"wandb": {"project": "p"}, "experiments": {"e": {"command": ["true"]}}}


def _message(given: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        loading.validate(given, SCHEMA)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_are_filled_in_at_every_level():
    checked = loading.validate(SMALLEST, SCHEMA)
    wandb = {"project": "p", "entity": None, "tags": [], "mode": "offline", "eligible": False, "base_url": None}
    assert checked["wandb"] == wandb
    assert checked["environment"] == {
        "python": None,
        "modules": [],
        "extras": [],
        "state": "working-tree",
        "index": None,
        **dict.fromkeys(["requirements", "lock", "pyproject", "venv", "container"]),
    }
    assert checked["experiments"]["e"]["resources"] == {
        "nodes": 1,
        "tasks": 1,
        "gpus_per_task": None,
        "gpus": 0,
        "gpu": None,
        "gpu_memory": None,
        "cores": None,
        "memory": None,
        "time": "1h",
        **dict.fromkeys(["any_of", "partition", "constraint", "qos", "reservation", "exclude", "mail"]),
    }
    assert checked["experiments"]["e"]["workdir"] == "."


def test_an_empty_section_is_its_defaults():
    checked = loading.validate({**SMALLEST, "environment": None}, SCHEMA)
    assert checked["environment"]["modules"] == []


def test_the_given_config_is_not_changed():
    given = {"wandb": {"project": "p"}, "experiments": {"e": {"command": ["true"]}}}
    loading.validate(given, SCHEMA)
    assert given == SMALLEST


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wandb": {"projet": "p"}}, ["wandb.projet", "unknown key", "did you mean project?"]),
        ({"wandb": {}}, ["wandb.project", "found nothing"]),
        ({"wandb": {"project": "a/b"}}, ["wandb.project", '"a/b"', "W&B project name"]),
        ({"wandb": {"project": "p", "mode": "onlin"}}, ["wandb.mode", '"onlin"', "offline, dryrun, online"]),
        ({"wandb": {"project": "p", "eligible": "yes"}}, ["wandb.eligible", '"yes"', "true or false"]),
        (
            {"experiments": {"e": {"command": ["true"], "resources": {"gpu": "gpu:a100"}}}},
            ["experiments.e.resources.gpu", '"gpu:a100"', "a MIG instance such as a100_1g.5gb"],
        ),
        ({"wandb": {"project": "p", "tags": ["a,b"]}}, ["wandb.tags.0", '"a,b"', "without a comma"]),
        ({"wandb": {"project": "p", "base_url": "example.org"}}, ["wandb.base_url", "https://"]),
        ({"experiments": {}}, ["experiments", "at least one experiment"]),
        ({"experiments": {"a b": {"command": ["true"]}}}, ["experiments", '"a b"', "letters, digits"]),
        ({"experiments": {"e": {"command": []}}}, ["experiments.e.command", "list of arguments"]),
        ({"experiments": {"e": {"command": "true"}}}, ["experiments.e.command", '"true"', "list of arguments"]),
        (
            {"experiments": {"e": {"command": ["true"], "packing": "sometimes"}}},
            ["experiments.e.packing", '"sometimes"', "expected off, or a mapping with side_by_side"],
        ),
        (
            {"experiments": {"e": {"command": ["true"], "packing": {"sidebyside": 2}}}},
            ["experiments.e.packing.sidebyside", "unknown key", "side_by_side, one_after_another"],
        ),
        (
            {"experiments": {"e": {"command": ["true"], "packing": {"side_by_side": 0}}}},
            ["experiments.e.packing.side_by_side", "found 0", "a number of runs, 1 to 64"],
        ),
        (
            {"experiments": {"e": {"command": ["true"], "resources": {"nodes": 0}}}},
            ["experiments.e.resources.nodes", "found 0", "a number of nodes, 1 or more"],
        ),
        ({"environment": {"python": 3.11}}, ["environment.python", "3.11", "in quotes"]),
        ({"environment": {"modules": ["a;b"]}}, ["environment.modules.0", "module name"]),
        ({"surplus": 1}, ["surplus", "unknown key"]),
    ],
)
def test_what_is_wrong_is_named_with_what_was_found_and_expected(change, said):
    message = _message({**SMALLEST, **change})
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    "time", ["yesterday", "", "m", "1:2:3:4", "90", 90, "1.5h", "0m", "1:99:00", "1:30:60", "1-12:60"]
)
def test_a_time_that_is_none_is_refused(time):
    given = {**SMALLEST, "experiments": {"e": {"command": ["true"], "resources": {"time": time}}}}
    with pytest.raises(ConfigError, match="expected a time such as 15m"):
        text.minutes(loading.validate(given, SCHEMA)["experiments"]["e"]["resources"]["time"])


@pytest.mark.parametrize("time", ["1:30", "1:99", "0:30"])
def test_a_time_that_slurm_reads_otherwise_is_refused(time):
    given = {**SMALLEST, "experiments": {"e": {"command": ["true"], "resources": {"time": time}}}}
    with pytest.raises(ConfigError, match="reads as minutes:seconds, expected .*" + time + ":00"):
        text.minutes(loading.validate(given, SCHEMA)["experiments"]["e"]["resources"]["time"])


def test_a_time_that_yaml_has_made_a_number_of_is_to_be_put_in_quotes():
    # 72:00:00 without quotes, in YAML 1.1.
    given = {**SMALLEST, "experiments": {"e": {"command": ["true"], "resources": {"time": 259200}}}}
    with pytest.raises(ConfigError, match=r"found 259200, expected a time .* in quotes"):
        loading.validate(given, SCHEMA)


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        ("15m", 15),
        ("3h", 180),
        ("1d", 1440),
        ("1d12h", 2160),
        ("1h30m", 90),
        ("0:30:00", 30),
        ("168:00:00", 10080),
        ("1-12", 2160),
        ("2:00:01", 121),
        ("1-12:00", 2160),
    ],
)
def test_times_are_minutes(time, minutes):
    assert text.minutes(time) == minutes


@pytest.mark.parametrize(
    ("memory", "mebibytes"), [("500M", 500), ("4G", 4096), ("1.5G", 1536), ("1T", 1024**2), ("2GB", 2048)]
)
def test_memory_is_mebibytes(memory, mebibytes):
    assert text.mebibytes(memory) == mebibytes


def test_malformed_yaml_is_named_with_its_place(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\nb: [2\nc: 3\n")
    with pytest.raises(ConfigError, match=r"config.yaml, line 3, column 2: expected YAML, found it malformed"):
        loading.load_yaml(file)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("experiments:\n  a: {}\n  a: {}\n")
    with pytest.raises(ConfigError, match=r"line 3, column 3: .*'a' stands twice"):
        loading.load_yaml(file)


def test_a_merge_key_is_no_duplicate(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("base: &base {x: 1}\na:\n  <<: *base\n  y: 2\n")
    assert loading.load_yaml(file)["a"] == {"x": 1, "y": 2}


def test_the_cluster_falls_back_to_the_sites_variable(monkeypatch):
    monkeypatch.setenv("CC_CLUSTER", "narval")
    assert loading.cluster_name({"cluster": None}) == "narval"
    assert loading.cluster_name({"cluster": "local"}) == "local"
    monkeypatch.delenv("CC_CLUSTER")
    assert loading.cluster_name({"cluster": None}) is None

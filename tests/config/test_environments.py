"""Which environment an experiment of the config runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from runferry.config import loading
from runferry.config.environments import EnvironmentPlan, plan_environments
from runferry.errors import ConfigError
from support.paths import SCHEMA


@pytest.fixture(autouse=True)
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ["a.txt", "b.txt", "image.sif"]:
        Path(name).write_text("known==1.0\n")
    Path("package").mkdir()
    Path("package/pyproject.toml").write_text('[project]\nname = "mine"\n')


def plan(experiments: dict, **rest: object) -> EnvironmentPlan:
    sections = {name: {"command": ["true"], **section} for name, section in experiments.items()}
    return plan_environments(loading.validate({"wandb": {"project": "p"}, "experiments": sections, **rest}, SCHEMA))


def test_experiments_name_their_environment_or_have_it_in_place_or_share_the_one_for_all() -> None:
    made = plan(
        {"a": {}, "b": {"environment": "jax"}, "c": {"environment": {"lock": "b.txt", "modules": ["cuda/12"]}}},
        environment={"requirements": "a.txt", "modules": ["python/3.11"]},
        environments={
            "jax": {"pyproject": "package", "extras": ["gpu"], "state": "committed"},
            "unused": {"lock": "a.txt"},
        },
    )
    assert made.of_experiment == {"a": "default", "b": "jax", "c": "c"}
    assert made.modules == {"a": ("python/3.11",), "b": (), "c": ("cuda/12",)}
    assert set(made.environments) == {"default", "jax", "c"}
    jax = made.environments["jax"]
    assert jax.options(wheelhouse=True) == ["--pyproject", "package", "--extra", "gpu", "--committed", "--no-index"]
    assert jax.files() == ["package/pyproject.toml"]


def test_environments_that_say_the_same_are_built_once() -> None:
    made = plan({name: {"environment": {"requirements": "a.txt"}} for name in ["a", "b"]})
    assert made.of_experiment == {"a": "a", "b": "a"}
    assert list(made.environments) == ["a"]


def test_one_in_place_takes_no_other_s_name() -> None:
    made = plan(
        {"a": {"environment": "a"}, "default": {"environment": {"lock": "b.txt"}}},
        environments={"a": {"requirements": "a.txt"}},
    )
    assert made.of_experiment == {"a": "a", "default": "default-own"}
    own = plan({"a": {"environment": {"lock": "b.txt"}}}, environments={"a": {"requirements": "a.txt"}})
    assert own.of_experiment == {"a": "a-own"}


def test_without_a_source_commands_run_with_the_path_as_it_is() -> None:
    made = plan({"a": {}}, environment={"modules": ["python/3.11"]})
    assert (made.of_experiment, made.modules) == ({"a": None}, {"a": ("python/3.11",)})


def test_the_index_is_for_what_a_wheelhouse_lacks() -> None:
    made = plan({"a": {}}, environment={"requirements": "a.txt", "index": "allowed"})
    assert made.environments["default"].options(wheelhouse=True)[-2:] == ["--no-index", "--index-allowed"]
    assert made.environments["default"].options(wheelhouse=False) == ["--requirements", "a.txt"]
    assert made.environments["default"].specification(wheelhouse=True).index_allowed


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (
            {"environment": {"requirements": "a.txt", "lock": "b.txt"}},
            "config: environment: found requirements and lock, expected exactly one of",
        ),
        (
            {"environments": {"x": {}}},
            r"config: environments\.x: found none, expected exactly one of requirements, lock",
        ),
        ({"environments": {"x": {"lock": "none"}}}, r"config: environments\.x\.lock: found no file none"),
        ({"environments": {"x": {"lok": "none"}}}, r"config: environments\.x\.lok: found an unknown key"),
        (
            {"environments": {"x": {"pyproject": "."}}},
            r"config: environments\.x\.pyproject: found no file pyproject\.toml",
        ),
        (
            {"environment": {"container": "docker://python:3.11"}},
            r"environment\.container: found docker:.*, expected an image that is a file: .* `apptainer pull`",
        ),
        (
            {"environment": {"requirements": "a.txt", "extras": ["x"]}},
            r"environment\.extras: found it with requirements, expected it with pyproject",
        ),
        (
            {"environment": {"container": "image.sif", "python": "3.11"}},
            r"environment\.python: found it with container",
        ),
        (
            {"environment": {"lock": "a.txt"}, "environments": {"default": {"lock": "b.txt"}}},
            "the name of `environment`",
        ),
        ({"environment": {"index": "yes"}}, r'environment\.index: found "yes", expected allowed or null'),
    ],
)
def test_what_cannot_be_is_one_line(rest: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        plan({"a": {}}, **rest)
    assert "\n" not in str(error.value)


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        ConfigError, match=r"experiments\.a\.environment: found jx, expected .* \(jax\) \(did you mean jax"
    ):
        plan({"a": {"environment": "jx"}}, environments={"jax": {"lock": "a.txt"}})


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"stage": [{"to": "x"}]}, r"experiments\.a\.stage\.0\.from: found nothing"),
        ({"stage": [{"from": "x", "unpak": True}]}, r"experiments\.a\.stage\.0\.unpak: found an unknown key"),
        ({"environment": {"lok": "x"}}, r"experiments\.a\.environment\.lok: found an unknown key"),
        ({"collect": "*.pt"}, r"experiments\.a\.collect: .*expected a list"),
    ],
)
def test_what_an_experiment_says_wrongly_is_one_line(section: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan({"a": section})

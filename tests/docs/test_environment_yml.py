"""The controller's environment for conda asks for what the package asks for."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.paths import ROOT

#: Conda's names of what PyPI calls otherwise.
PYPI_NAMES = {"snakemake-minimal": "snakemake"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def dependencies() -> list[Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_its_pins_are_those_of_the_package(project: dict[str, Any], dependencies: list[Any]) -> None:
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    written = [entry for entry in [*dependencies, *pip] if isinstance(entry, str) and not entry.startswith("--")]
    asked = [Requirement(text) for text in project["dependencies"]]
    expected = {canonicalize_name(one.name): one.specifier for one in asked}
    expected["python"] = Requirement(f"python{project['requires-python']}").specifier
    found = {PYPI_NAMES.get(one.name, one.name): one.specifier for one in map(Requirement, written)}
    assert {"python", "snakemake", "wandb", "snakemake-executor-plugin-slurm"} <= set(found)
    del found["pip"]
    assert found == {name: expected[name] for name in found}


def test_the_package_itself_is_installed_with_extras_that_it_has(
    project: dict[str, Any], dependencies: list[Any]
) -> None:
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    (own,) = [entry.removeprefix("--editable ") for entry in pip if entry.startswith("--editable ")]
    path, _, extras = own.removesuffix("]").partition("[")
    assert path == "."
    assert set(extras.split(",")) <= set(project["optional-dependencies"])

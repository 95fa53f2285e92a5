"""Whatever a script does with wandb arrives as it would have online.

Each script of `scripts/` runs twice with each version of wandb: plainly online against a stand-in, and through
`runferry launch` and `runferry sync` against another. What the two hold must be equal. How to add a script is said in
`differential_case`.
"""

from __future__ import annotations

import json
from fnmatch import fnmatch
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import pytest
from differential_case import cases
from differential_comparison import differences
from differential_run import Both, run_all
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSIONS = ["0.22.3", "0.27.2", installed_version("wandb")]

CANNOT_BE_EQUAL: dict[str, dict[str, str]] = {}
"""What stays different, by script: where (a pattern), and why. All else of the script is equal."""

NOT_YET: dict[str, str] = {}
"""What differs today and is to be mended, by script (or script and version, as "folds 0.22.3")."""

CASES = {case.name: case for case in cases()}


def _marks(name: str, version: str) -> list[pytest.MarkDecorator]:
    reason = NOT_YET.get(f"{name} {version}") or NOT_YET.get(name)
    return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []


@pytest.fixture(scope="module")
def arrived(
    wandb_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Both]]:
    """Give what arrived of all scripts with a version of wandb; one test process runs them, the others wait for it."""
    known: dict[str, dict[str, Both]] = {}
    shared = tmp_path_factory.getbasetemp().parent

    def of(version: str) -> dict[str, Both]:
        if version not in known:
            file = shared / f"differential-{version}.json"
            with FileLock(f"{file}.lock"):
                if not file.exists():
                    runnable = [case for case in CASES.values() if case.runs_with(version)]
                    folder = tmp_path_factory.mktemp(f"wandb-{version}-")
                    found = run_all(runnable, wandb_python(version), folder)
                    file.write_text(json.dumps({name: both.as_json() for name, both in found.items()}))
            known[version] = {name: Both.from_json(both) for name, both in json.loads(file.read_text()).items()}
        return known[version]

    return of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param(version, name, id=f"{name}-{version}", marks=_marks(name, version))
        for version in VERSIONS
        for name, case in CASES.items()
        if case.runs_with(version)
    ],
)
def test_what_arrives_is_what_would_have_online(arrived, version, name):
    both = arrived(version)[name]
    found = differences(CASES[name], both)
    allowed = CANNOT_BE_EQUAL.get(name, {})
    unexpected = {where: what for where, what in found.items() if not any(fnmatch(where, each) for each in allowed)}
    listed = [f"{where}: {what}" for where, what in unexpected.items()]
    assert not listed, "\n".join([*listed, "", *both.launched.problems, both.launched.output[-3000:]])
    unused = [each for each in allowed if not any(fnmatch(where, each) for where in found)]
    assert not unused, f"these do not differ any more: {unused}"


def test_the_tables_name_scripts_that_exist():
    assert {*CANNOT_BE_EQUAL, *(name.partition(" ")[0] for name in NOT_YET)} <= CASES.keys()

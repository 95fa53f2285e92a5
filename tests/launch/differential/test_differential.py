"""Whatever a script does with wandb arrives as it would have online.

Each script of `scripts/` runs plainly online against a stand-in, and through `runferry launch` and `runferry sync`
against another, with each version of wandb. What the two hold must be equal. How to add a script is said in
`support.differential.case`.

What a script makes online is the same with every version, but for some that say so (`own_online`): so it runs online
with the newest, and the others with each. With the oldest version, whose `import wandb` takes two seconds of CPU, some
are left out. Set RUNFERRY_DIFFERENTIAL=whole to run all of them on both ways with each version.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from fnmatch import fnmatch
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from support.differential.case import cases
from support.differential.comparison import differences
from support.differential.run import Arrived, run_launched, run_online

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.differential.case import Case

NEWEST = installed_version("wandb")
VERSIONS = ["0.22.3", "0.27.2", NEWEST]
WHOLE = os.environ.get("RUNFERRY_DIFFERENTIAL") == "whole"

CANNOT_BE_EQUAL: dict[str, dict[str, str]] = {
    "same_id_begun_again": {
        "run 0: rows": "without resume= wandb begins the run anew, and W&B writes over the first; here no row is "
        "lost, and the second part comes behind the first",
        "run 0: summary._step": "as its rows",
    },
    "init_raises": {
        "receipt": "a job whose only wandb.init raised an error has begun no W&B run, online neither: there is nothing "
        "that a receipt could speak of",
    },
    "artifact_used": dict.fromkeys(
        ["exit codes", "runs", "run 0: state", "run 0: exit code", "run 0: console"],
        "wait() and use_artifact ask the server, and wandb raises an error when it is offline",
    ),
}
"""What stays different, by script: where (a pattern), and why. All else of the script is equal."""

NOT_YET: dict[str, str] = {}
"""What differs today and is to be mended, by script (or script and version)."""

CASES = {case.name: case for case in cases()}


def _is_run(case: Case, version: str) -> bool:
    return case.runs_with(version) and (case.oldest or WHOLE or version != VERSIONS[0])


class Runs:
    """Runs all scripts once for all test processes: the first one that wants them does it, the others wait."""

    def __init__(self, python: Callable[[str], Path], shared: Path) -> None:
        self._python = python
        self._shared = shared
        self._known: dict[str, dict[str, Arrived]] = {}

    def online(self, version: str, name: str) -> Arrived:
        own = version == NEWEST or CASES[name].own_online or WHOLE
        version = version if own else NEWEST
        chosen = [case for case in CASES.values() if version == NEWEST or case.own_online or WHOLE]
        return self._once(f"online-{version}", run_online, version, chosen)[name]

    def launched(self, version: str, name: str) -> Arrived:
        return self._once(f"launched-{version}", run_launched, version, list(CASES.values()))[name]

    def _once(self, what: str, run: Callable, version: str, chosen: list) -> dict[str, Arrived]:
        if what not in self._known:
            file = self._shared / f"{what}.json"
            self._shared.mkdir(exist_ok=True)
            with FileLock(f"{file}.lock"):
                if not file.exists():
                    runnable = [case for case in chosen if _is_run(case, version)]
                    found = run(runnable, self._python(version), self._shared / what)
                    file.write_text(json.dumps({name: asdict(arrived) for name, arrived in found.items()}))
            self._known[what] = {name: Arrived(**arrived) for name, arrived in json.loads(file.read_text()).items()}
        return self._known[what]


@pytest.fixture(scope="module")
def runs(wandb_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    base = tmp_path_factory.getbasetemp()
    # Of several test processes each has a folder in a common one.
    return Runs(wandb_python, (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "differential")


def _marks(name: str, version: str) -> list[pytest.MarkDecorator]:
    reason = NOT_YET.get(f"{name} {version}") or NOT_YET.get(name)
    return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param(version, name, id=f"{name}-{version}", marks=_marks(name, version))
        for version in VERSIONS
        for name, case in CASES.items()
        if _is_run(case, version)
    ],
)
def test_what_arrives_is_what_would_have_online(runs, version, name):
    launched = runs.launched(version, name)
    found = differences(CASES[name], runs.online(version, name), launched)
    allowed = CANNOT_BE_EQUAL.get(name, {})
    unexpected = {where: what for where, what in found.items() if not any(fnmatch(where, each) for each in allowed)}
    listed = [f"{where}: {what}" for where, what in unexpected.items()]
    assert not listed, "\n".join([*listed, "", *launched.problems, launched.output[-3000:]])
    unused = [each for each in allowed if not any(fnmatch(where, each) for where in found)]
    assert not unused, f"these do not differ any more: {unused}"


def test_the_tables_name_scripts_that_exist():
    assert {*CANNOT_BE_EQUAL, *(name.partition(" ")[0] for name in NOT_YET)} <= CASES.keys()

"""Check modules and Python, what is installed with runferry, and what the site's wheelhouse has."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from runferry.doctor.finding import Finding
from runferry.doctor.reach import proxies_in
from runferry.environment.interpreter import describe
from runferry.environment.pins import normalised
from runferry.environment.wheelhouse import names_in_wheelhouse, wheelhouse_folders
from runferry.errors import ConfigError
from runferry.system.env_modules import NO_COMMAND, variables_after_loading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from runferry.doctor.site import Site


MODULES, PYTHON, WHEELHOUSE = "modules", "Python", "wheelhouse"


SECONDS = 45.0
"""For each of the checks: a module's start on a busy login node takes its time."""


OLDEST_PYTHON = (3, 11)

INSTALLED = {"snakemake": "9.17.1", "snakemake-executor-plugin-slurm": "2.5.3", "wandb": "0.31"}
"""The packages that runferry needs, and the oldest version that will do (pyproject.toml)."""


WANTED = {"snakemake": "9.17.1", "snakemake-executor-plugin-slurm": "2.5.3", "wandb": "0.22", "torch": ""}
"""The packages to look for in a wheelhouse, and the oldest version that will do: a training's wandb may be older."""


def modules(site: Site) -> Iterator[Finding]:
    """Check the module that brings Python, the one that an online job loads, and the installed packages."""
    name = site.python_module
    variables = load_module(name)
    if isinstance(variables, str):
        todo = "name the right one in environment.modules; `module avail python` lists them"
        yield not_loaded(MODULES, str(name), variables, todo)
        variables = dict(os.environ)
    elif name:
        yield Finding(MODULES, name, "ok", "can be loaded")
    else:
        found = "there is one" if _there_is_a_module_command() else "there is none"
        yield Finding(MODULES, "`module` command", "info", found)
    yield _python(variables)
    for package, least in INSTALLED.items():
        yield _installed(package, least)
    if proxy := site.cluster.wandb.module:
        loaded = load_module(proxy)
        if isinstance(loaded, str):
            yield not_loaded(MODULES, proxy, loaded, "only online jobs need it")
        else:
            proxies = proxies_in(loaded)
            mark = "ok" if proxies else "differs"
            named = ", ".join(f"{scheme}_proxy={url}" for scheme, url in proxies.items())
            yield Finding(MODULES, proxy, mark, named or "sets no proxy", "a proxy" * (not proxies))


def wheelhouse(site: Site, packages: Sequence[str]) -> Iterator[Finding]:
    """Look for packages where pip finds wheels on this machine.

    Parameters
    ----------
    packages
        Names to look for besides those that runferry needs.
    """
    loaded = load_module(site.python_module)
    variables = dict(os.environ) if isinstance(loaded, str) else loaded
    folders = wheelhouse_folders([sys.executable, "-m", "pip"], variables)
    expected = site.cluster.wheelhouse
    if not folders:
        found = "pip's configuration names no folder of wheels"
        mark, todo = ("differs", "PIP_CONFIG_FILE of the site's modules names them") if expected else ("info", "")
        yield Finding(WHEELHOUSE, "folders", mark, found, "the site's wheelhouse" * expected, todo)
        return
    for folder in folders:
        if folder.is_dir():
            yield Finding(WHEELHOUSE, "folder", "ok", str(folder))
        else:
            yield Finding(WHEELHOUSE, "folder", "problem", f"{folder}: no such folder", "a folder of wheels")
    wanted: dict[str, str] = {**dict.fromkeys(packages, ""), **WANTED}
    python = ".".join(map(str, sys.version_info[:2]))
    if shutil.which("avail_wheels", path=variables.get("PATH", os.defpath)):
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(names_in_wheelhouse, name, python, variables) for name in wanted]
            listed = [answer.result() for answer in asked]
        pairs = [pair for rows in listed for row in rows if len(pair := row.split(" ")) == 2]
    else:
        pairs = [pair for folder in folders for pair in _wheels_in(folder)]
    for name, least in wanted.items():
        versions = {number for package, number in pairs if normalised(package) == normalised(name)}
        yield _in_wheelhouse(name, sorted(versions, key=_numbers), least, python)


def _in_wheelhouse(name: str, versions: Sequence[str], least: str, python: str) -> Finding:
    what = f"{name} for Python {python}"
    expected = f"{least} or newer" if least else "one version"
    if not versions:
        return Finding(WHEELHOUSE, what, "differs", "none", expected, "`environment: {index: allowed}` downloads it")
    found = ", ".join(versions[-5:])
    if least and _numbers(versions[-1]) < _numbers(least):
        return Finding(WHEELHOUSE, what, "differs", found, expected)
    return Finding(WHEELHOUSE, what, "ok", found)


def _wheels_in(folder: Path) -> list[tuple[str, str]]:
    """List a folder's wheels for this Python, as names and versions."""
    major, minor = sys.version_info[:2]
    tags = re.compile(rf"(^|[-.])(py{major}|cp{major}{minor}|abi3)([-.]|$)")
    wheels = [file.name.removesuffix(".whl") for file in folder.glob("*.whl")]
    parts = [wheel.split("-") for wheel in wheels]
    return [(words[0], words[1]) for words in parts if len(words) >= 5 and tags.search("-".join(words[-3:]))]


def _there_is_a_module_command() -> bool:
    return NO_COMMAND not in load_module("runferry-no-such-module")


def _python(variables: Mapping[str, str]) -> Finding:
    what, here = "python3", f"runferry runs on {platform.python_version()}"
    program = shutil.which("python3", path=variables.get("PATH", os.defpath))
    if program is None:
        return Finding(PYTHON, what, "differs", f"none on the PATH; {here}", "3.11 or newer")
    try:
        found = describe(program, variables)
    except ConfigError as error:
        return Finding(PYTHON, what, "problem", str(error))
    said = f"{found.version} ({found.path}); {here}"
    if tuple(map(int, found.version.split(".")[:2])) < OLDEST_PYTHON:
        return Finding(PYTHON, what, "differs", said, "3.11 or newer", "load another module")
    return Finding(PYTHON, what, "ok", said)


def _installed(package: str, least: str) -> Finding:
    try:
        found = version(package)
    except PackageNotFoundError:
        return Finding(PYTHON, package, "problem", "is not installed", f"{least} or newer", "pip install it")
    enough = _numbers(found) >= _numbers(least)
    return Finding(PYTHON, package, "ok" if enough else "problem", found, f"{least} or newer" * (not enough))


def _numbers(text: str) -> tuple[int, ...]:
    """Take the numbers of a version before anything else, for comparison: "2.13.0+computecanada" is (2, 13, 0)."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def load_module(name: str | None) -> dict[str, str] | str:
    """Load a module, where one is named; return the variables of a process then, or why it cannot be loaded."""
    try:
        return variables_after_loading([name] if name else [], "modules")
    except ConfigError as error:
        return str(error).removeprefix("modules: ")


def not_loaded(about: str, name: str, why: str, todo: str = "") -> Finding:
    """Return the finding that a module of the cluster's facts cannot be loaded."""
    return Finding(about, name, "differs", why, f"module load {name} works", todo)

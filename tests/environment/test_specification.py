"""What an environment can be made of, and where its packages come from: real builds of wheels that are made here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import virtualenv

from runferry.environment.archive import unpack
from runferry.environment.building import build
from runferry.environment.project import fingerprint
from runferry.environment.record import EnvironmentRecord
from runferry.environment.specification import Specification
from runferry.errors import ConfigError, PackingError
from support.wheel_files import wheel

pytestmark = pytest.mark.slow

MAIN = "import sys\n\ndef main():\n    print('main', sys.prefix)\n"
# setuptools is in virtualenv: what builds a project's wheel is on this machine.
SEEDS = Path(virtualenv.__file__).parent / "seed" / "wheels" / "embed"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheelhouse as the Alliance has it: a folder that pip's configuration file names, and `avail_wheels` on PATH."""
    folder = tmp_path / "wheelhouse"
    wheel(folder, "known", "1.0", MAIN)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[install]\nfind-links = {folder} {SEEDS}\n[wheel]\nfind-links = {folder} {SEEDS}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_FIND_LINKS", f"{folder} {SEEDS}")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    return folder


def index_with(folder: Path, name: str, version: str) -> None:
    """An index of one package, in a folder, as pip asks for it (PEP 503)."""
    file = wheel(folder / "index" / name, name, version, MAIN)
    (file.parent / "index.html").write_text(f'<a href="{file.name}">{file.name}</a>')


def requirements(folder: Path, *lines: str, name: str = "requirements.txt") -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def built(folder: Path, specification: Specification) -> tuple[EnvironmentRecord, list[str], str]:
    """The record, the lines of the lock that name a package, and the log."""
    log = StringIO()
    record = build(specification, folder / "environments" / "default.json", log=log)
    lines = (folder / "environments" / record.lock).read_text().splitlines()
    return record, [line for line in lines if not line.startswith("#")], log.getvalue()


def unpacked(folder: Path) -> Path:
    return unpack(folder / "environments" / "default.json", folder / "a node")


def said_by(python: Path, code: str) -> str:
    # Somewhere else, and without what this machine's user has in PYTHONPATH.
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout


def project(folder: Path, *, git: bool = True) -> Path:
    """A package of the user's with an extra, in a repository."""
    place = folder / "my project"
    (place / "src" / "lab" / "mine").mkdir(parents=True)
    # `lab` is a namespace package: no __init__.py.
    (place / "src" / "lab" / "mine" / "__init__.py").write_text("state = 'committed'\n")
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "lab-mine"\nversion = "2.5"\n'
        '[project.optional-dependencies]\nmore = ["known"]\n'
        '[tool.setuptools.packages.find]\nwhere = ["src"]\n'
    )
    if git:
        run_git(place, "init", "--quiet")
        run_git(place, "add", ".")
        run_git(place, "commit", "--quiet", "--message", "first")
    return place


def run_git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_lock_says_for_each_package_where_it_came_from(tmp_path: Path, site: Path) -> None:
    index_with(tmp_path, "elsewhere", "3.0")
    local = wheel(tmp_path / "mine", "local", "0.1", MAIN)
    file = requirements(tmp_path, "known", "elsewhere", str(local))
    record, lock, log = built(tmp_path, Specification(file, no_index=True, index_allowed=True))
    assert "known==1.0  # wheelhouse: known-1.0-py3-none-any.whl" in lock
    assert "elsewhere==3.0  # index: downloaded, because the wheelhouse lacks it" in lock
    assert f"local==0.1  # local wheel: {local}" in lock
    assert any(line.startswith("pip==") and line.endswith("# virtualenv") for line in lock)
    assert record.origins["wheelhouse"] == record.origins["index"] == record.origins["local wheel"] == 1
    assert "elsewhere is not in the site's wheelhouse: downloading it" in log


def test_what_the_wheelhouse_has_is_not_taken_newer_from_the_index(tmp_path: Path, site: Path) -> None:
    index_with(tmp_path, "known", "9.0")
    file = requirements(tmp_path, "known")
    _, lock, _ = built(tmp_path, Specification(file, no_index=True, index_allowed=True))
    assert any(line.startswith("known==1.0 ") for line in lock)


def test_what_the_wheelhouse_lacks_is_named_with_what_avail_wheels_calls_it(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_with(tmp_path, "known_by_another_name", "3.0")
    program = tmp_path / "bin" / "avail_wheels"
    program.parent.mkdir()
    # What it prints (ComputeCanada/avail_wheels), for `--column name version`.
    program.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/asked\nprintf \'name        version\\n----------  ---------\\n'
        "known_by_it  2.0.1\\nknown_by_it  2.0.0\\n'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    file = requirements(tmp_path, "known-by-another.name")
    with pytest.raises(PackingError) as error:
        built(tmp_path, Specification(file, no_index=True))
    assert "known-by-another.name is not in the site's wheelhouse" in str(error.value)
    assert "`avail_wheels` lists known_by_it 2.0.1, known_by_it 2.0.0" in str(error.value)
    assert str(error.value).endswith("set environment.index: allowed, which downloads it here, on the login node")
    assert (tmp_path / "asked").read_text().startswith("*known*by*another*name* --all_versions --python 3.")


def test_a_dependency_that_the_wheelhouse_lacks_is_downloaded_too(tmp_path: Path, site: Path) -> None:
    wheel(site, "above", "1.0", MAIN, requires=("below>=1",))
    index_with(tmp_path, "below", "1.2")
    _, lock, _ = built(tmp_path, Specification(requirements(tmp_path, "above"), no_index=True, index_allowed=True))
    assert any(line.startswith("below==1.2  # index") for line in lock)


def test_what_no_index_has_either_is_named(tmp_path: Path, site: Path) -> None:
    (tmp_path / "index").mkdir()
    file = requirements(tmp_path, "nowhere")
    with pytest.raises(PackingError, match="nowhere is not in the package index"):
        built(tmp_path, Specification(file, no_index=True, index_allowed=True))


def test_a_lock_builds_the_same_environment_again_and_nothing_more(tmp_path: Path, site: Path) -> None:
    wheel(site, "above", "1.0", MAIN, requires=("known",))
    first, _, _ = built(tmp_path, Specification(requirements(tmp_path, "above"), no_index=True))
    lock = tmp_path / "environments" / first.lock
    wheel(site, "known", "1.1", MAIN)
    again, _, _ = built(tmp_path, Specification(lock, no_index=True, kind="lock"))
    assert again.key == first.key
    alone, lines, _ = built(tmp_path, Specification(requirements(tmp_path, "above==1.0"), no_index=True, kind="lock"))
    assert not any(line.startswith("known") for line in lines)
    assert alone.key != first.key


def test_a_lock_that_is_not_frozen_is_refused(tmp_path: Path) -> None:
    file = requirements(tmp_path, "numpy==2.0  # wheelhouse: x", "pandas>=2")
    with pytest.raises(ConfigError, match=r"environment\.lock: .*found 'pandas>=2', expected every version pinned"):
        build(Specification(file, kind="lock"), tmp_path / "environments" / "default.json")


def test_a_project_is_installed_with_its_extras_as_the_working_tree_has_it(tmp_path: Path, site: Path) -> None:
    place = project(tmp_path)
    commit = run_git(place, "rev-parse", "HEAD")
    clean, _, _ = built(tmp_path, Specification(place, no_index=True, kind="pyproject", extras=("more",)))
    assert clean.own_package == {"name": "lab_mine", "version": "2.5", "state": "committed", "commit": commit}
    (place / "src" / "lab" / "mine" / "__init__.py").write_text("state = 'changed'\n")
    (place / "src" / "lab" / "mine" / "new.py").write_text("value = 1\n")
    changed, lock, _ = built(tmp_path, Specification(place, no_index=True, kind="pyproject", extras=("more",)))
    assert changed.own_package == {**clean.own_package, "state": "working tree"}
    assert changed.key != clean.key
    assert any(line.startswith("known==1.0 ") for line in lock)
    assert any(line.startswith("lab-mine==2.5  # own package: working tree of commit") for line in lock)
    code = "import lab.mine.new, known; print(lab.mine.state, lab.mine.new.value)"
    assert said_by(unpacked(tmp_path) / "bin" / "python", code) == "changed 1\n"
    # Nothing of the build is left in the user's folder.
    assert run_git(place, "status", "--porcelain", "--ignored").split() == [
        *("M", "src/lab/mine/__init__.py"),
        *("??", "src/lab/mine/new.py"),
    ]

    committed = Specification(place, no_index=True, kind="pyproject", extras=("more",), committed=True)
    assert built(tmp_path, committed)[0].key == clean.key


def test_a_project_without_git_is_built_from_its_folder(tmp_path: Path, site: Path) -> None:
    place = project(tmp_path, git=False)
    record, _, _ = built(tmp_path, Specification(place / "pyproject.toml", no_index=True, kind="pyproject"))
    assert record.own_package == {"name": "lab_mine", "version": "2.5", "state": "working tree", "commit": None}
    assert sorted(file.name for file in place.iterdir()) == ["pyproject.toml", "src"]
    with pytest.raises(ConfigError, match="to be in a git repository with a commit"):
        built(tmp_path, Specification(place, no_index=True, kind="pyproject", committed=True))


def test_an_extra_that_a_project_has_not_is_refused(tmp_path: Path, site: Path) -> None:
    with pytest.raises(PackingError, match=r"found no extra 'moer' in .*\(environment\.extras\)"):
        built(tmp_path, Specification(project(tmp_path), no_index=True, kind="pyproject", extras=("moer",)))


def test_a_change_of_the_project_is_seen(tmp_path: Path) -> None:
    place = project(tmp_path)
    before = fingerprint(place, committed=False)
    assert fingerprint(place, committed=False) == before
    (place / "src" / "lab" / "mine" / "__init__.py").write_text("state = 'changed'\n")
    assert fingerprint(place, committed=False) != before
    assert fingerprint(place, committed=True) == before[:1]
    (place / "pyproject.toml").unlink()
    assert "pyproject.toml deleted" in fingerprint(place, committed=False)


def test_an_existing_environment_is_packed_as_it_is(tmp_path: Path, site: Path) -> None:
    venv = tmp_path / "work" / ".venv"
    subprocess.run([sys.executable, "-m", "virtualenv", "--quiet", "--no-download", str(venv)], check=True)
    editable = project(tmp_path)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-index", "known", "--editable", editable]
    subprocess.run(pip, check=True)
    before = {file: file.stat().st_mtime_ns for file in venv.rglob("*")}
    record, lock, log = built(tmp_path, Specification(venv, kind="venv"))
    assert {file: file.stat().st_mtime_ns for file in venv.rglob("*")} == before
    assert f"known==1.0  # venv: {venv}" in lock
    assert "lab-mine is editable: jobs read it from file://" in log
    tree = unpacked(tmp_path)
    assert said_by(tree / "bin" / "python", "import lab.mine; print(lab.mine.state)") == "committed\n"
    said = subprocess.run([tree / "bin" / "known"], capture_output=True, text=True, check=True).stdout
    assert said == f"main {tree}\n"
    activated = ["bash", "-c", f"source '{tree}/bin/activate' && python -c 'import sys; print(sys.prefix)'"]
    assert subprocess.run(activated, capture_output=True, text=True, check=True).stdout == f"{tree}\n"
    assert record.kind == "venv"


def test_a_folder_that_is_no_virtual_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment\.venv: found no pyvenv\.cfg in .*\(not conda's\)"):
        build(Specification(tmp_path, kind="venv"), tmp_path / "environments" / "default.json")


def test_a_changed_file_that_requirements_include_is_a_change(tmp_path: Path) -> None:
    requirements(tmp_path, "numpy", name="base.txt")
    specification = Specification(requirements(tmp_path, "-r base.txt", "pandas"))
    before = specification.digest()
    requirements(tmp_path, "numpy<3", name="base.txt")
    assert specification.digest() != before


def test_the_record_names_its_source(tmp_path: Path, site: Path) -> None:
    file = requirements(tmp_path, "known")
    built(tmp_path, Specification(file, no_index=True))
    content = json.loads((tmp_path / "environments" / "default.json").read_text())
    assert (content["kind"], content["source"]) == ("requirements", str(file))

"""A release is one command, and the repository is one that Snakemake's workflow catalog lists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from runferry import __version__
from support.documented_commands import ROOT

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
SECTION = "## [{}] - 2026-03-01\n\n### Added\n\n- Something new.\n\n"


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """A repository with the checkout's files as they are now."""
    folder = tmp_path / "clone"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "somebody")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "somebody@example.org")
    subprocess.run([*GIT, "init", "--quiet"], cwd=folder, check=True)
    _commit(folder)
    return folder


def _commit(folder: Path) -> None:
    subprocess.run([*GIT, "add", "--all"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "--quiet", "--message", "all"], cwd=folder, check=True)


def _release(folder: Path, *version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ".ci/release.py", *version]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def _tags(folder: Path) -> list[str]:
    return subprocess.check_output(["git", "tag"], cwd=folder, text=True).split()


def _write_section(folder: Path, version: str) -> None:
    file = folder / "CHANGELOG.md"
    file.write_text(file.read_text().replace("## [Unreleased]\n", f"## [Unreleased]\n\n{SECTION.format(version)}", 1))


@pytest.mark.slow
def test_one_command_builds_tries_what_was_built_and_tags(clone):
    _write_section(clone, __version__)
    _commit(clone)
    done = _release(clone, __version__)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _tags(clone) == [f"v{__version__}"]
    assert f"git push origin main v{__version__}" in done.stdout
    message = subprocess.check_output(["git", "tag", "-l", "--format=%(contents)"], cwd=clone, text=True)
    assert message.startswith(f"runferry {__version__}\n\n### Added\n\n- Something new.")
    with zipfile.ZipFile(clone / "dist" / f"runferry-{__version__}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
    assert "runferry/shipped/workflow/schemas/config.schema.yaml" in names
    assert {"runferry/shipped/workflow/Snakefile", "runferry/shipped/profiles/narval/config.yaml"} <= set(names)
    assert "runferry/py.typed" in names
    with tarfile.open(clone / "dist" / f"runferry-{__version__}.tar.gz") as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"workflow/Snakefile", "profiles/narval/config.yaml", "LICENSE", "CHANGELOG.md"} <= packed
    again = _release(clone, __version__)
    assert again.returncode == 1
    assert f"found a tag v{__version__}" in again.stderr


def test_what_is_not_ready_is_said_all_at_once_and_nothing_is_tagged(clone):
    (clone / "README.md").write_text("changed")
    refused = _release(clone, "77.0.0")
    assert refused.returncode == 1
    for found in (
        "found changes that are not committed (M README.md)",
        f"found version {__version__}, expected 77.0.0",
        f"found wrappers of v{__version__}, expected v77.0.0",
        "CHANGELOG.md: found no section ## [77.0.0]",
        "nothing was tagged",
    ):
        assert found in refused.stderr
    assert _tags(clone) == []


@pytest.mark.parametrize("given", [[], ["v1.0.0"], ["1.0"]])
def test_a_version_is_three_numbers(clone, given):
    refused = _release(clone, *given)
    assert refused.returncode == 1
    assert "expected one such as 1.2.0: make release VERSION=1.2.0" in refused.stderr


def test_a_wheel_that_does_not_work_is_not_tagged(clone):
    _write_section(clone, __version__)
    started = clone / "src" / "runferry" / "cli" / "fast_start.py"
    started.write_text(
        started.read_text().replace("def main() -> int:", "def main() -> int:\n    return 1\n\n\ndef _m():")
    )
    _commit(clone)
    refused = _release(clone, __version__)
    assert refused.returncode == 1
    assert "bin/runferry --version failed with exit code 1" in refused.stderr
    assert _tags(clone) == []


def test_make_release_is_that_command():
    # Below a make, as in `make test`, it would say which folder it enters.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    command = ["make", "--dry-run", "release", "VERSION=1.2.0"]
    said = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    assert said.rstrip().endswith(".venv/bin/python .ci/release.py 1.2.0")


def test_the_changelog_is_as_keep_a_changelog_has_it():
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## .*$", text, re.MULTILINE)
    assert headings[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# What the catalog asks for: snakemake.github.io/snakemake-workflow-catalog, "Adding workflows", and its
# scripts/generate-catalog.py, read in its repository at 55ed72c (2025).


def test_the_catalog_lists_the_workflow():
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "workflow" / "Snakefile").is_file()
    # One would do; a file of rules by another name would not be formatted and checked.
    assert {file.suffix for file in (ROOT / "workflow" / "rules").iterdir()} == {".smk"}
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    size = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    assert sum((ROOT / name).stat().st_size for name in size if name and (ROOT / name).is_file()) < 50e6


def test_the_catalog_shows_its_usage_as_standardized():
    assert "config/config.yaml" in (ROOT / "config" / "README.md").read_text()
    settings = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    usage = settings["usage"]
    assert set(settings) == {"usage"}
    assert set(usage) <= {"mandatory-flags", "software-stack-deployment", "report"}
    # Each of these is true only where it was tried; none of them was.
    assert set(usage["software-stack-deployment"]) <= {"conda", "apptainer", "apptainer+conda", "report"}
    assert usage["software-stack-deployment"]["report"] is True
    flags = usage["mandatory-flags"]
    assert flags["desc"]
    (profile,) = re.fullmatch(r"--profile (\S+)", flags["flags"]).groups()
    assert (ROOT / profile / "config.yaml").is_file()


def test_the_catalogs_own_linting_and_formatting_pass():
    # As it calls them: in the repository's folder, without a profile; the Snakefile and the files of rules.
    lint = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stderr
    files = [ROOT / "workflow" / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    formatted = subprocess.run(
        [Path(sys.executable).with_name("snakefmt"), "--check", *files], capture_output=True, text=True, check=False
    )
    assert formatted.returncode == 0, formatted.stderr

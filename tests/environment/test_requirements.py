"""Requirements files: read as pip reads them; what is another kind of file is said before anything is built."""

from __future__ import annotations

import subprocess

import pytest

from runferry.environment.installation import explain_failure
from runferry.environment.notes import notes_of_source
from runferry.environment.requirements import check_requirements, index_options, read_requirements
from runferry.environment.specification import Specification, check_source
from runferry.errors import ConfigError

LINES = "six==1.16.0\nidna\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_is_read_in_the_encoding_that_pip_finds(tmp_path, encoding):
    file = tmp_path / "requirements.txt"
    file.write_bytes(LINES.encode(encoding))
    assert read_requirements(file) == LINES
    check_requirements(file, "config: environment.requirements")
    assert len(Specification(file).digest()) == 64


def test_a_file_that_says_its_encoding_is_read_in_it(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_bytes("# -*- coding: latin-1 -*-\n# caf\xe9\nsix\n".encode("latin-1"))
    assert "caf\xe9" in read_requirements(file)
    file.write_bytes("# caf\xe9\nsix\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="found bytes that are not utf-8, expected a requirements file in UTF-8"):
        check_requirements(file, "config: environment.requirements")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("environment.yml", "name: x\ndependencies:\n  - python=3.10\n", "an environment of conda, expected a pip"),
        ("requirements.txt", "channels:\n  - conda-forge\n", "an environment of conda, expected a pip"),
        ("uv.lock", "version = 1\n", "which pip does not read, .*uv export --no-emit-project -o lock.txt"),
        ("poetry.lock", "", "which pip does not read, .*poetry export"),
        (
            "requirements.txt",
            "six==1.16.0 \\\n    --hash=sha256:8abb\nidna\n",
            "found hashes of some requirements and none of 'idna', expected them of all or of none",
        ),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, name, content, said):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ConfigError, match=said):
        check_requirements(file, "config: environment.requirements")


def test_an_index_that_is_not_asked_under_a_wheelhouse_is_said(tmp_path):
    (tmp_path / "more.txt").write_text("--index-url=http://127.0.0.1:1/other\nidna\n")
    file = tmp_path / "requirements.txt"
    file.write_text("--extra-index-url http://127.0.0.1:1/simple\n-r more.txt\nsix\n")
    assert index_options(file) == [
        ("--extra-index-url", "http://127.0.0.1:1/simple"),
        ("--index-url", "http://127.0.0.1:1/other"),
    ]
    said = list(notes_of_source(Specification(file, no_index=True)))
    assert ["--extra-index-url http://127.0.0.1:1/simple is not asked" in said[0], len(said)] == [True, 2]
    assert list(notes_of_source(Specification(file))) == []
    assert list(notes_of_source(Specification(file, no_index=True, index_allowed=True))) == []


def test_what_is_uvs_own_in_a_project_is_said(tmp_path):
    project = '[project]\nname = "p"\n[tool.uv.sources]\ntorch = {index = "cu121"}\nmine = {git = "https://x"}\n'
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "uv.lock").touch()
    sources, lock = notes_of_source(Specification(tmp_path, kind="pyproject"))
    assert "[tool.uv.sources] is uv's own, and pip does not read it: for torch, mine write" in sources
    assert "uv.lock: pip does not read it" in lock


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "      error: Multiple top-level packages discovered in a flat-layout: ['data', 'configs'].",
            "Multiple top-level packages discovered in a flat-layout: ['data', 'configs'], so that setuptools",
        ),
        (
            "  fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            "git said: fatal: could not read Username for 'https://github.com': terminal prompts disabled; correct",
        ),
    ],
)
def test_what_setuptools_and_git_say_is_explained(output, said):
    lines = [output, "ERROR: Failed to build 'file:///x' when getting requirements to build wheel"]
    assert explain_failure(lines, no_index=False).startswith(said)


@pytest.mark.parametrize(
    ("more", "files", "refused"),
    [
        ("", ["data/a.csv", "mine/__init__.py", "tests/test_a.py"], True),
        # What setuptools knows, is told, or does not ask for.
        ("", ["mine/__init__.py", "tests/test_a.py", "docs/index.md", ".github/x.yml", "train.py"], False),
        ("", ["data/a.csv", "src/mine/__init__.py"], False),
        ('[tool.setuptools]\npackages = ["mine"]\n', ["data/a.csv", "mine/__init__.py"], False),
        ('[build-system]\nbuild-backend = "hatchling.build"\n', ["data/a.csv", "mine/__init__.py"], False),
        # What git ignores is not copied, and so not there when it is built.
        ("", ["mine/__init__.py", "wandb/run/x", "results/x"], False),
    ],
)
def test_a_flat_project_of_several_packages_is_refused_before_it_is_built(tmp_path, more, files, refused):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("wandb/\nresults/\n")
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "Mine"\nversion = "1"\n{more}')
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if not refused:
        check_source("pyproject", tmp_path, "config: environment")
        return
    with pytest.raises(
        ConfigError, match=r'found data, mine, each .* say which is: \[tool.setuptools\] packages = \["mine"\]'
    ):
        check_source("pyproject", tmp_path, "config: environment")

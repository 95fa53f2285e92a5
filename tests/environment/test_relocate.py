from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runferry.environment.relocate import make_relocatable
from runferry.errors import PackingError

if TYPE_CHECKING:
    from pathlib import Path

CODE = '''# -*- coding: utf-8 -*-
"""What it is for."""
from __future__ import annotations
import sys
print([__doc__, sys.prefix, *sys.argv])
'''


def environment(folder: Path) -> Path:
    """An empty virtual environment, without pip."""
    command = [sys.executable, "-m", "virtualenv", "--no-seed", "--activators", "bash", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return environment(tmp_path / "built here")


def packages(tree: Path) -> Path:
    return next(tree.glob("lib/python3*/site-packages"))


def script(tree: Path, first: str, name: str = "tool") -> None:
    file = tree / "bin" / name
    file.write_text(first + CODE)
    file.chmod(0o755)


def moved(tree: Path) -> Path:
    target = tree.parent / "node 7" / "elsewhere"
    target.parent.mkdir()
    shutil.move(tree, target)
    return target


def said_by(command: list[str | Path], **variables: str) -> list[str]:
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **variables})
    return eval(answer.stdout)


@pytest.mark.parametrize(
    "first",
    ["#!{python}\n", "#!{python}3\n", "#!{python} -E\n", "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"],
    ids=["short", "python3", "with an argument", "long"],
)
def test_a_console_script_works_from_another_path(built: Path, first: str) -> None:
    script(built, first.format(python=built / "bin" / "python"))
    make_relocatable(built, [packages(built)])
    tree = moved(built)
    tool = tree / "bin" / "tool"
    expected = ["What it is for.", str(tree), str(tool), "a b", "$(c)"]
    assert said_by([tool, "a b", "$(c)"]) == expected


def test_a_console_script_works_through_the_path_and_through_a_link(built: Path, tmp_path: Path) -> None:
    script(built, f"#!{built / 'bin' / 'python'}\n")
    make_relocatable(built, [packages(built)])
    tree = moved(built)
    assert said_by(["tool"], PATH=f"{tree / 'bin'}:{os.environ['PATH']}")[1] == str(tree)
    (tmp_path / "link").symlink_to(tree / "bin" / "tool")
    assert said_by([tmp_path / "link"])[1] == str(tree)


def test_a_first_line_is_short_enough_for_every_kernel(built: Path) -> None:
    script(built, f"#!{built / 'bin' / 'python'}\n")
    make_relocatable(built, [packages(built)])
    # Linux before 5.1 cuts it off there.
    assert len((built / "bin" / "tool").read_bytes().splitlines()[0]) <= 127


def test_other_scripts_stay_as_they_are(built: Path) -> None:
    script(built, "#!/usr/bin/env python3\n")
    before = (built / "bin" / "tool").read_bytes()
    make_relocatable(built, [packages(built)])
    assert (built / "bin" / "tool").read_bytes() == before


def test_activate_works_from_another_path(built: Path) -> None:
    make_relocatable(built, [packages(built)])
    tree = moved(built)
    code = 'source "$1/bin/activate"; command -v python; echo "$VIRTUAL_ENV"; deactivate; echo "${VIRTUAL_ENV-none}"'
    answer = subprocess.run(["bash", "-c", code, "bash", str(tree)], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [str(tree / "bin" / "python"), str(tree), "none"]
    assert answer.stderr == ""


def test_the_base_python_stays_named(built: Path) -> None:
    home = [line for line in (built / "pyvenv.cfg").read_text().splitlines() if line.startswith("home")]
    make_relocatable(built, [packages(built)])
    text = (built / "pyvenv.cfg").read_text()
    assert home[0] in text.splitlines()
    assert str(built) not in text


def test_a_path_in_a_pth_file_is_made_relative(built: Path) -> None:
    (built / "src" / "mine").mkdir(parents=True)
    (built / "src" / "mine" / "imported.py").write_text("value = 7\n")
    (packages(built) / "mine.pth").write_text(f"{built}/src/mine\n/usr/share/other\nimport sys\n")
    make_relocatable(built, [packages(built)])
    lines = (packages(built) / "mine.pth").read_text().splitlines()
    assert lines[1:] == ["/usr/share/other", "import sys"]
    tree = moved(built)
    assert said_by([tree / "bin" / "python", "-c", "import imported; print([imported.value])"]) == [7]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.pth", "import sys; sys.path.append('{tree}/src')\n"),
        ("__editable___mine_finder.py", "where = '{tree}'\n"),
    ],
)
def test_code_that_holds_the_path_is_refused(built: Path, name: str, text: str) -> None:
    (packages(built) / name).write_text(text.format(tree=built))
    with pytest.raises(PackingError, match=f"{name}: found an editable install.*; write it without -e"):
        make_relocatable(built, [packages(built)])


def test_files_that_still_name_the_path_are_told(built: Path) -> None:
    note = packages(built) / "how_it_was_compiled.py"
    note.write_text(f"prefix = '{built}'\n")
    assert make_relocatable(built, [packages(built)]) == [str(note.relative_to(built))]


def test_nothing_of_an_empty_environment_names_the_path(built: Path) -> None:
    assert make_relocatable(built, [packages(built)]) == []

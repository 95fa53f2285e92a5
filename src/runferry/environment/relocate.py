"""Make a virtual environment work from any path.

What holds the path that it was built in, and what is done about it: the console scripts' first line (made a line of
shell that finds the Python beside the script), `bin/activate` (finds itself), `pyvenv.cfg` (a note of the command
that made it, which goes; `home` names the base Python and stays), paths in `.pth` files (made relative). Code in a
`.pth` file or an import hook that holds the path cannot be fixed, so it is refused.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import NoReturn

from runferry.errors import PackingError

# One line, so that all that follows in the script stays as it was: its docstring, its `from __future__`, its encoding.
# `env -S` splits it (coreutils 8.30, 2018); Linux before 5.1 reads 127 bytes of it. A script may be started through a
# link in another folder.
_START = """#!/usr/bin/env -S sh -c 'here=$(readlink -f "$0"); exec "${here%/*}/python"ARGUMENTS "$0" "$@"'\n"""


# pip's own form where the path is too long for the kernel, or has a space in it.
_LONG_FORM = re.compile(
    rb"\A#!/bin/sh\n'''exec' (?P<python>\"[^\"\n]+\"|[^\s\"]+)(?P<arguments>[^\n]*) \"\$0\" \"\$@\"\n' '''\n"
)


_SHORT_FORM = re.compile(rb"\A#!(?P<python>[^\n]*?/python[\d.]*)(?P<arguments>[ \t][^\n]*)?\r?\n")

# zsh, which reads this file too, has the sourced file's name in $0.
_FIND_ITSELF = """\
# This environment is used wherever it was unpacked to: it is the folder above the one of this file.
_environment_of_this_file=$(cd -- "$(dirname -- "${BASH_SOURCE[0]:-$0}")/.." >/dev/null && pwd)
"""


_BINARY = frozenset({".so", ".a", ".pyc", ".png", ".gz", ".npz", ".npy", ".zip", ".exe", ".ttf", ".parquet"})


_LARGEST_TEXT = 4 * 1024 * 1024


def make_relocatable(tree: Path, folders: list[Path], built_in: Path | None = None) -> list[str]:
    """Rewrite files that name the path `built_in`, and return those that still do, relative to `tree`.

    Those are notes of how something was compiled, as a rule; the caller logs them.

    Parameters
    ----------
    tree
        A virtual environment, by its real path.
    folders
        Its folders of packages.
    built_in
        The path that it was built in, where `tree` is a copy of it.

    Raises
    ------
    PackingError
        When a `.pth` file or an import hook runs code that holds the path.
    """
    built_in = built_in or tree
    for script in sorted((tree / "bin").iterdir()):
        if script.is_file() and not script.is_symlink():
            _rewrite_script(script, built_in)
    if (tree / "bin" / "activate").exists():
        _rewrite_activate(tree / "bin" / "activate", built_in)
    configuration = tree / "pyvenv.cfg"
    lines = configuration.read_text().splitlines(keepends=True)
    configuration.write_text("".join(line for line in lines if not line.startswith("command ")))
    for folder in folders:
        for file in sorted(folder.glob("*.pth")):
            _rewrite_pth(file, tree, built_in)
        for file in sorted(folder.glob("*.dist-info/RECORD")):
            # Their scripts are no longer what these hashes are of; a RECORD may leave them out.
            text = re.sub(r"(?m)^((?:\.\./)+bin/[^,\n]+),sha256=[^\n]*$", r"\1,,", file.read_text())
            file.write_text(text)
        for file in sorted(folder.glob("__editable__*.py")):
            if str(built_in) in file.read_text(errors="replace"):
                _refuse(file)
    return _still_tied(tree, built_in)


def _rewrite_script(script: Path, built_in: Path) -> None:
    content = script.read_bytes()
    match = _LONG_FORM.match(content) or _SHORT_FORM.match(content)
    # Anything else is not started by this environment's Python: a binary, a shell script.
    if match is None or not match["python"].strip(b'"').startswith(bytes(built_in / "bin")):
        return
    start = _START.replace("ARGUMENTS", (match["arguments"] or b"").decode().rstrip()).encode()
    script.write_bytes(start + content[match.end() :])


def _rewrite_activate(activate: Path, built_in: Path) -> None:
    text = activate.read_text()
    # Versions of virtualenv quote the path in different ways.
    for quoted in [shlex.quote(str(built_in)), f"'{built_in}'", f'"{built_in}"', str(built_in)]:
        text = text.replace(quoted, '"$_environment_of_this_file"')
    activate.write_text(_FIND_ITSELF + text)


def _rewrite_pth(file: Path, tree: Path, built_in: Path) -> None:
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("import ", "import\t")):
            if str(built_in) in line:
                _refuse(file)
        elif Path(line).is_relative_to(built_in):
            # Python takes a path in such a file to be relative to the file's folder.
            lines[number] = os.path.relpath(tree / Path(line).relative_to(built_in), file.parent)
    file.write_text("".join(f"{line}\n" for line in lines))


def _refuse(file: Path) -> NoReturn:
    message = (
        f"{file.name}: found an editable install, which works only in the folder it was built in, expected none; "
        "write it without -e in the requirements"
    )
    raise PackingError(message)


def _still_tied(tree: Path, built_in: Path) -> list[str]:
    needle = os.fsencode(built_in)
    return [
        str(file.relative_to(tree))
        for file in sorted(tree.rglob("*"))
        if file.suffix not in _BINARY
        and file.is_file()
        and not file.is_symlink()
        and file.stat().st_size <= _LARGEST_TEXT
        and needle in file.read_bytes()
    ]


def copy_environment(source: Path, tree: Path) -> Path:
    """Copy the virtual environment `source` to `tree` and return the path that it was built in.

    A link that leads out of it, such as those that uv makes into its cache, becomes the file that it leads to, but for
    the base Python in `bin`.

    Raises
    ------
    PackingError
        When it cannot be read.
    """
    source = source.resolve()
    try:
        shutil.copytree(source, tree, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    except (OSError, shutil.Error) as error:
        raise PackingError(
            f"{source}: found that it cannot be copied ({str(error)[:300]}), expected files that this user can read"
        ) from error
    for link in [path for path in tree.rglob("*") if path.is_symlink() and path.parent != tree / "bin"]:
        original = (source / link.relative_to(tree)).resolve()
        if original.is_relative_to(source) or not original.exists():
            continue
        link.unlink()
        if original.is_dir():
            shutil.copytree(original, link)
        else:
            shutil.copy2(original, link)
    return _built_in(source)


def _built_in(source: Path) -> Path:
    """Read from `activate` which path the environment's files name: it may have been moved since."""
    activate = source / "bin" / "activate"
    for line in activate.read_text().splitlines() if activate.is_file() else []:
        name, _, value = line.strip().partition("=")
        if name == "VIRTUAL_ENV":
            path = value.strip("'\"")
            if path.startswith("/"):
                return type(source)(path)
    return source

"""Read requirements files as pip does, and refuse what looks like one and is another kind of file."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# As pip's own (26.0), the longer first: UTF-32 begins as UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODING = re.compile(rb"^#.*coding[:=]\s*([-\w.]+)")
_INCLUDED = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]\s*(?P<file>[^\s#]+)", re.MULTILINE)
_INDEX = re.compile(r"^\s*(?P<option>-i|--index-url|--extra-index-url)[ =]\s*(?P<url>[^\s#]+)", re.MULTILINE)
_CONDA = re.compile(r"^(?:dependencies|channels):", re.MULTILINE)
_LOCKS = {
    "uv.lock": "uv export --no-emit-project -o lock.txt",
    "poetry.lock": "poetry export -o lock.txt",
    "pdm.lock": "pdm export -o lock.txt",
    "Pipfile.lock": "pipenv requirements >lock.txt",
    "pylock.toml": "uv export --no-emit-project -o lock.txt",
}


def read_requirements(file: Path) -> str:
    """Return the text of a requirements file: in UTF-8, or as its first bytes or a line `# coding: ...` say.

    Raises
    ------
    ConfigError
        When it is in no encoding that pip would find.
    OSError
        When it cannot be read.
    """
    content = file.read_bytes()
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(file, content.removeprefix(mark) if encoding == "utf-8" else content, encoding)
    coding = next((found[1] for line in content.split(b"\n")[:2] if (found := _CODING.match(line))), b"utf-8")
    return _decoded(file, content, coding.decode())


def check_requirements(file: Path, key: str) -> None:
    """Refuse a file that is no requirements file.

    Parameters
    ----------
    key
        Of the config, for messages.

    Raises
    ------
    ConfigError
        For the file of conda or of another tool, and where some requirements have hashes and others have none.
    """
    if file.name in _LOCKS:
        message = f"{key}: found {file}, which pip does not read, expected a requirements file"
        raise ConfigError(f"{message}; make one: {_LOCKS[file.name]}, for environment.lock")
    text = read_requirements(file)
    if file.suffix in {".yml", ".yaml"} or _CONDA.search(text):
        message = f"{key}: found {file}, an environment of conda, expected a pip requirements file"
        hint = (
            "list what is below `pip:` and the others' names on PyPI in one, or build an image (environment.container)"
        )
        raise ConfigError(f"{message}; {hint}")
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in re.sub(r"\\\r?\n", " ", text).splitlines()]
    requirements = [line for line in lines if line and not line.startswith("-")]
    without = [line for line in requirements if "--hash=" not in line]
    if without and len(without) < len(requirements):
        message = f"{key}: {file}: found hashes of some requirements and none of {without[0]!r}"
        raise ConfigError(f"{message}, expected them of all or of none: with one, pip wants all")


def with_included(requirements: Path) -> list[Path]:
    """List a requirements file and those that it names, each once."""
    found = [requirements]
    for file in found:
        if not file.is_file():
            continue
        for match in _INCLUDED.finditer(read_requirements(file)):
            included = file.parent / match["file"]
            if included not in found and included.is_file():
                found.append(included)
    return found


def index_options(requirements: Path) -> list[tuple[str, str]]:
    """List the options of a requirements file that name an index, each with its address.

    Raises
    ------
    ConfigError
        As `read_requirements`.
    """
    found = [_INDEX.findall(read_requirements(file)) for file in with_included(requirements) if file.is_file()]
    return [(option, url) for options in found for option, url in options]


def _decoded(file: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        message = f"{file}: found bytes that are not {encoding}, expected a requirements file in UTF-8; save it as such"
        raise ConfigError(message) from error

"""Read a table of runs, one row a run, as in the sample sheets of other Snakemake workflows."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None}
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_table(file: Path) -> list[dict[str, Any]]:
    """Read the parameters of every run: columns are parameters, an empty cell leaves one out.

    A cell is a number, true, false or null as YAML 1.2 reads it (so `1e-3` is a number and `007` a text), else a text.

    Raises
    ------
    ConfigError
        When there is no such table, or with the line on which something is wrong.
    """
    delimiter = _DELIMITERS.get(file.suffix.lower())
    if delimiter is None:
        raise ConfigError(f"{file}: found a file that ends with {file.suffix or 'nothing'}, expected .csv or .tsv")
    try:
        # utf-8-sig: spreadsheets write a byte order mark.
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return list(_rows(file, csv.reader(opened, delimiter=delimiter, strict=True)))
    except OSError as error:
        raise ConfigError(
            f"{file}: expected a table of runs, found none that can be read ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: expected a table in UTF-8, found bytes that are not") from error
    except csv.Error as error:
        raise ConfigError(f"{file}: found a table that cannot be read ({error}), expected one row a run") from error


def _rows(file: Path, reader: Any) -> Iterator[dict[str, Any]]:
    names = [name.strip() for name in next(reader, list[str]())]
    for number, name in enumerate(names):
        if not name or name in names[:number]:
            found = f"column {number + 1} without a name" if not name else f"the column {name} twice"
            raise ConfigError(f"{file}, line 1: found {found}, expected the name of a parameter above each column")
    lines: dict[tuple[str, ...], int] = {}
    for cells in reader:
        line: int = reader.line_num
        # A blank line, as spreadsheets leave them at the end.
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise ConfigError(f"{file}, line {line}: found {len(cells)} cells, expected {len(names)}, as in line 1")
        key = tuple(cell.strip() for cell in cells)
        if key in lines:
            raise ConfigError(f"{file}, line {line}: found the run of line {lines[key]} again, expected each run once")
        lines[key] = line
        yield {name: _value(cell) for name, cell in zip(names, key, strict=True) if cell}
    if not lines:
        raise ConfigError(f"{file}: found no row, expected a line of names and then one for each run")


def _value(cell: str) -> Any:
    if _WHOLE.fullmatch(cell):
        return int(cell)
    # A leading zero is that of a name, such as a subject's.
    if _NUMBER.fullmatch(cell) and not re.match(r"[-+]?0[0-9]", cell):
        return float(cell)
    return _WORDS.get(cell.lower(), cell)

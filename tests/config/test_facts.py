"""The clusters' files beside copies of the tables that they were made from: facts/*.tsv, each with source and date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from runferry.config.cluster import cluster_names, facts
from support import facts_table
from support.facts_table import leaves

TABLES = sorted((Path(__file__).parent / "facts").glob("*.tsv"))
ABSENT = object()


@dataclass(frozen=True)
class Stated:
    """A cell of a table: `null` is "not established", an empty cell says nothing."""

    cluster: str
    path: tuple[str, ...]
    value: Any


def stated(table: Path) -> list[Stated]:
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    header, *rows = [line.split("\t") for line in lines]
    if header[1:] == ["fact", "value"]:
        # As support.facts_table prints a cluster's.
        return [Stated(cluster, tuple(fact.split("/")), yaml.safe_load(value)) for cluster, fact, value in rows]
    found = []
    for cluster, *rest in rows:
        columns, cells, before = header[1:], rest, ()
        if columns[0].endswith("/*"):
            # The second column names a part of the file: a model, or a MIG instance.
            before, columns, cells = (*columns[0].removesuffix("/*").split("/"), cells[0]), columns[1:], cells[1:]
        for column, cell in zip(columns, cells, strict=True):
            if cell:
                found.append(Stated(cluster, (*before, *column.split("/")), yaml.safe_load(cell)))
    return found


def looked_up(given: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(given, dict) or key not in given:
            return ABSENT
        given = given[key]
    return given


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_a_clusters_file_says_what_the_table_says(table):
    text = table.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "202" in text.partition("\ncluster")[0], "no date"
    cells = stated(table)
    assert cells
    differing = [
        f"{cell.cluster}.yaml: {'/'.join(cell.path)}: found {found!r}, expected {cell.value!r}"
        for cell in cells
        if (found := looked_up(facts(cell.cluster), cell.path)) != cell.value and (cell.value, found) != (None, ABSENT)
    ]
    assert differing == []


@pytest.mark.parametrize("name", cluster_names())
def test_no_fact_is_in_a_clusters_file_that_no_table_has(name):
    known = {cell.path for table in TABLES for cell in stated(table) if cell.cluster == name}
    assert ["/".join(path) for path in leaves(facts(name)) if path not in known] == []


def test_the_table_that_is_made_of_a_new_clusters_file_says_all_that_is_in_it(tmp_path):
    made = tmp_path / "leonardo.tsv"
    made.write_text(facts_table.table("leonardo"), encoding="utf-8")
    assert {cell.path: cell.value for cell in stated(made)} == leaves(facts("leonardo"))

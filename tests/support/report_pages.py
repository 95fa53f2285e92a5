"""A report's page, read as a browser reads it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.build import build_report
from support.sample_experiment import (
    segment,
    write_attempt,
    write_receipt,
    write_run,
    write_segments,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def no_slurm() -> Iterator[None]:
    """Ask no Slurm that may be up on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runferry.runs.slurm.ask", lambda *command: None)
        yield


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"loss": 1 / (i + 1), "accuracy": i / 100} for i in range(first, first + count)]


class Page(HTMLParser):
    """What a browser makes of the page: cells of the table, elements with their attributes, contents of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.table: list[list[str]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)
        self.table = self.tables["runs-table"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style", "td", "th"}:
            self._inside.append(tag)
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.tables[str(dict(attrs).get("id"))] = self.table = []
        elif tag == "tr":
            self.table.append([])
        elif tag in {"td", "th"}:
            self.table[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.scripts[-1] += data
        elif inside != "style":
            self.text += data
            if inside:
                self.table[-1][-1] += data

    @property
    def header(self) -> list[str]:
        """The names of the columns, left to right."""
        upper, lower = (["".join(cell.split()) for cell in row] for row in self.table[:2])
        outer = [name for name in upper if name not in {"Best", "Parameters", "Lastvalues"}]
        return [*outer[:2], *lower, *outer[2:]]

    def row(self, name: str) -> dict[str, str]:
        """The row of a run, by column."""
        (found,) = [row for row in self.table[2:] if name in row[0]]
        return {column: " ".join(cell.split()) for column, cell in zip(self.header, found, strict=True)}

    @property
    def data(self) -> dict[str, Any]:
        """What the curves are drawn from."""
        return json.loads(self.scripts[0])

    def curve(self, metric: str, run: int) -> tuple[list[int], list[float | None]]:
        """The steps and values of a run's curve."""
        (chart,) = [chart for chart in self.data["metrics"] if chart["name"] == metric]
        (series,) = [series for series in chart["series"] if series["run"] == run]
        return series["steps"], series["values"]


def build(folder: Path) -> Page:
    return Page(build_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs: finished and verified, failed, killed and resumed, running, not started."""
    folder = tmp_path_factory.mktemp("results") / "digits"
    names = {"aaaa": 0.1, "bbbb": 0.2, "cccc": 0.3, "dddd": 0.4, "eeee": 0.5}
    config = {"epochs": 20, "seed": 7}
    for run, rate in names.items():
        write_run(folder / run, f"rate={rate}", {"rate": rate, "epochs": 20})
    write_segments(
        [
            segment(folder / "aaaa", "rate=0.1", rows(20), config=config),
            segment(folder / "bbbb", "rate=0.2", rows(5), config=config, exit_code=3),
            segment(folder / "cccc", "rate=0.3", rows(10), config=config, exit_code=255),
            segment(folder / "dddd", "rate=0.4", rows(3), config=config),
        ]
    )
    write_attempt(folder / "aaaa", 1, "finished", seconds=59.6)
    write_receipt(folder / "aaaa")
    write_attempt(folder / "bbbb", 1, "failed", exit_code=3, message="no module named torch: add it")
    write_attempt(folder / "cccc", 1, "killed", exit_code=None, signal="SIGKILL", seconds=4000.0)
    write_attempt(folder / "dddd", 1, "running")
    (folder / "runs.tsv").write_text("id\tname\trate\n" + "".join(f"{run}\tx\t0\n" for run in reversed(names)))
    return folder


@pytest.fixture(scope="module")
def page(experiment: Path) -> Page:
    return build(experiment)

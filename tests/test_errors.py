"""All errors of runferry's own: each is provoked, and says what was found, what was expected and what to type next.

A `raise` that has no row here makes `test_every_place_that_raises_has_its_row` fail, with the row to write.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

from runferry.errors import RunferryError
from runferry.system.messages import STARTED_BY, with_next_step
from support.errors import (
    provoked_comet,
    provoked_config,
    provoked_doctor,
    provoked_files,
    provoked_remote,
    provoked_repository,
    provoked_runs,
    provoked_search,
    provoked_start,
    provoked_sweeps,
)
from support.errors.provoking import Row, World
from support.errors.sites import Site, all_sites
from support.paths import ROOT

SITES = all_sites()
ROWS: list[Row] = [
    *provoked_comet.ROWS,
    *provoked_config.ROWS,
    *provoked_doctor.ROWS,
    *provoked_files.ROWS,
    *provoked_repository.ROWS,
    *provoked_remote.ROWS,
    *provoked_runs.ROWS,
    *provoked_search.ROWS,
    *provoked_start.ROWS,
    *provoked_sweeps.ROWS,
]


def sites_of(row: Row) -> list[Site]:
    """The places that a row speaks of: one, or several that say the same."""
    exact = [site for site in SITES if site.module == row.module and site.words == row.words]
    return exact or [site for site in SITES if site.module == row.module and row.words in site.words]


def said_by(site: Site, error: RunferryError) -> bool:
    """Whether an error that is raised later than it is made was made there; words alone tell where there are some."""
    words = site.words.split("{}")
    return any(words) and re.fullmatch(".*".join(map(re.escape, words)), str(error)) is not None


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_it_says_what_was_found_what_was_expected_and_what_to_type(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len({site.words for site in sites_of(row)}) == 1, "a row is for one message"
    if row.provoke is None:
        file, _, name = row.test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text()
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(STARTED_BY, raising=False)
    with pytest.raises(RunferryError) as caught:
        row.provoke(World(tmp_path, monkeypatch))
    last = traceback.extract_tb(caught.tb)[-1]
    assert last.filename.endswith(f"src/runferry/{row.module}"), f"{caught.value} was raised elsewhere: {last}"
    assert any(last.lineno in site.lines or said_by(site, caught.value) for site in sites_of(row)), (
        f"{caught.value} was raised in another line: {last}"
    )
    if row.finding:
        assert "\n" not in str(caught.value)
        return
    told = with_next_step(caught.value, ["runferry", "sync", "results"])
    assert "\n" not in told
    assert re.search(r"\bfound\b", told), told
    assert re.search(r"\bexpected\b", told), told
    assert re.search(r"; [^;]*\brun: \S+", told), told


def test_every_place_that_raises_has_its_row() -> None:
    with_rows = {site for row in ROWS for site in sites_of(row)}
    missing = [site for site in SITES if site not in with_rows]
    assert not missing, "add to the table: " + "; ".join(
        f'Row("{site.module}", "{site.words}", ...)' for site in missing
    )

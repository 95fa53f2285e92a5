"""Measure what a server makes of a run of two segments that `wandb sync` sends, as of one that was requeued."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.doctor.server.assumptions import DOTS, LONGEST_LAG, PATIENCE
from runferry.doctor.server.findings import finding, when
from runferry.doctor.server.made_up import BIG, DEEPEST, ROWS, MadeUpSegment
from runferry.doctor.server.place import FARTHEST_STEP
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runferry.doctor.finding import Finding
    from runferry.doctor.server.place import Place
    from runferry.trackers.wandb.queries import RunOnServer

FILES = ("config.yaml", "output.log", "wandb-summary.json")
"""That wandb sends of every run."""


def segments(place: Place, run: str) -> tuple[MadeUpSegment, MadeUpSegment]:
    """Return the two segments of a run: one that was stopped, and one that went on and finished."""
    where = (run, place.entity, place.project)
    return MadeUpSegment(*where, first=0, exit_code=1), MadeUpSegment(*where, first=ROWS, exit_code=0)


def first_segment(
    place: Place, run: str, send: Callable[[], object], lags: dict[str, float | None]
) -> Iterator[Finding]:
    """Send the first segment and yield findings about rows, integers, nesting and files; add to the lags."""
    send()
    shown = place.times(run, {**_parts(ROWS, ROWS - 1, "failed"), "files": _has_files})
    files = shown.pop("files")
    lags |= {f"{part} of wandb sync": after for part, after in shown.items()}
    there = place.run(run)
    yield finding("files_lag", _files_in_words(place, there, files), holds=files is not None and files <= PATIENCE)
    rows = place.until(
        lambda: place.rows(run, 0, FARTHEST_STEP, 2 * ROWS + 1), lambda rows: not _wrong(rows, ROWS)
    ).answer
    wrong = _wrong(rows, ROWS)
    yield finding("rows", wrong or f"{ROWS} of {ROWS} rows are as sent", holds=not wrong)
    values = {
        "rows": _values(rows[:1]),
        "summary": _values([there.summary] if there else []),
        "config": _values([there.config] if there else []),
    }
    yield finding("integers", _integers_in_words(values), holds=_all_exact(values))
    if there is None or "number" not in there.summary:
        yield finding("summary_dots", "the summary does not show", holds=None)
        return
    deepest = _deepest(there.summary.get("nested"))
    beyond = "as deep as was tried" if deepest == DEEPEST else "what is deeper is not there"
    yield finding("summary_dots", f"kept to {deepest} dots, {beyond}", holds=deepest >= DOTS)


def second_segment(place: Place, run: str, send: Callable[[], object], lags: dict[str, float | None]) -> Finding:
    """Send the second segment once the first is counted, and return the finding about the rows of both."""
    there = place.run(run)
    if there is None or there.history_lines != ROWS:
        counted = there.history_lines if there else 0
        found = f"not sent, because the server counts {counted} rows of the first, of {ROWS}"
        return finding("segments", found, holds=None)
    send()
    shown = place.times(run, _parts(2 * ROWS, 2 * ROWS - 1, "finished"))
    lags |= {f"{part} of the second segment": after for part, after in shown.items()}
    rows = place.until(
        lambda: place.rows(run, 0, FARTHEST_STEP, 4 * ROWS + 1), lambda rows: not _wrong(rows, 2 * ROWS)
    ).answer
    wrong = _wrong(rows, 2 * ROWS)
    return finding("segments", wrong or f"{2 * ROWS} rows in order, each once, steps going up", holds=not wrong)


def lag_in_words(place: Place, lags: Mapping[str, float | None]) -> Finding:
    """Return the finding about all the lags that were measured but the states', about which there is one of its own."""
    most = place.patience.showing
    lags = {part: after for part, after in lags.items() if not part.startswith("state")}
    late = [part for part, after in lags.items() if after is None]
    slowest = max(lags, key=lambda part: most + 1 if lags[part] is None else lags[part] or 0.0, default=None)
    if slowest is None:
        return finding("lag", "nothing could be sent", holds=None)
    found = f"the slowest {when(lags[slowest], most)} ({slowest})"
    found += f"; {len(late)} of {len(lags)} not within {most:g} s: {', '.join(late)}" if late else ""
    return finding("lag", found, holds=not late and (lags[slowest] or 0.0) <= LONGEST_LAG)


def _parts(rows: int, step: int, state: str) -> dict[str, Callable[[RunOnServer], bool]]:
    return {
        "rows": lambda run: run.history_lines == rows,
        "console": lambda run: run.output_lines == rows,
        "last step": lambda run: run.last_step == step,
        "summary": lambda run: run.summary.get("number") == step,
        "state": lambda run: run.state == state,
    }


def _has_files(run: RunOnServer) -> bool:
    files = run.files or {}
    return all(name in files and files[name].size_bytes for name in FILES)


def _files_in_words(place: Place, there: RunOnServer | None, after: float | None) -> str:
    files = (there.files if there else None) or {}
    listed = ", ".join(sorted(files)) or "none"
    sums = "with MD5" if files and all(file.md5 for file in files.values()) else "not all with MD5"
    return f"{listed} listed, {sums}; all {when(after, place.patience.showing)}"


def _wrong(rows: list[dict[str, Any]], count: int) -> str:
    """Return in words what is wrong with the rows of a run; nothing where they are the first `count` ones."""
    numbers = [row.get("number") for row in rows]
    steps = [row.get("_step") for row in rows]
    wanted = list(range(count))
    # As a double, which is another assumption's.
    others = [row for row in rows if row.get("big") not in (BIG, float(BIG))]
    if numbers == wanted and steps == wanted and not others:
        return ""
    parts = {
        "missing": [number for number in wanted if number not in numbers],
        "twice": sorted({number for number in wanted if numbers.count(number) > 1}),
        "with another value": others,
        "of nobody here": [step for step, number in zip(steps, numbers, strict=True) if number not in wanted],
    }
    found = [f"{len(some)} {name}" for name, some in parts.items() if some]
    if steps != wanted and numbers == wanted:
        found.append(f"the steps are {steps[0]} to {steps[-1]}, with {len(set(steps))} different ones")
    return f"{len(rows)} rows, of {count}: {', '.join(found) or 'in another order'}"


def _values(where: list[dict[str, Any]]) -> list[Any]:
    return [each["big"] for each in where if "big" in each]


def _all_exact(values: Mapping[str, list[Any]]) -> bool | None:
    """Return whether the big integer is exact wherever it shows; None where it is, but does not show everywhere."""
    exact = all(found == [BIG] for found in values.values() if found)
    return None if exact and not all(values.values()) else exact


def _integers_in_words(values: Mapping[str, list[Any]]) -> str:
    def words(found: list[Any]) -> str:
        if found == [BIG]:
            return "exact"
        return "as a double" if found and found[0] == float(BIG) else str(found[0]) if found else "not there"

    return ", ".join(f"{name}: {words(found)}" for name, found in values.items())


def _deepest(value: Any) -> int:
    dots = 0
    while is_mapping(value) and value.get("value") == dots + 1:
        dots += 1
        value = value.get("next")
    return dots

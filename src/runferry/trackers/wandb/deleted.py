"""Keep the data of segments that `runferry clean` deleted, in `cleaned.json` of the run's folder.

It serves another comparison with the server, since a receipt can get lost: Snakemake removes the output of a rule
before it runs it. It also serves a run that goes on: what a later attempt writes comes behind what was deleted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from runferry.errors import NotVerifiedError
from runferry.runs.receipt_record import SegmentEntry
from runferry.system.files import read_json, write_json
from runferry.system.records import from_json
from runferry.trackers.wandb.log.records import LoggedArtifact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.runs.folder import RunFolder


@dataclass(frozen=True)
class Cleaned:
    """The deleted segments, as the server had them at that time."""

    date: str
    """When, UTC, as ISO 8601 has it."""
    segments: tuple[SegmentEntry, ...]
    """As a receipt describes them."""
    run_id: str
    entity: str
    """Of the server; never empty."""
    project: str
    history_lines: int
    last_step: int | None
    state: str
    event_lines: int
    """On the server, as the next one."""
    output_lines: int
    summary: dict[str, Any]
    config: dict[str, Any]
    files: tuple[str, ...]
    """Names of the files that they promised."""
    artifacts: tuple[LoggedArtifact, ...]

    @property
    def names(self) -> set[str]:
        """Return the names of the segments."""
        return {segment.name for segment in self.segments}

    @property
    def seconds(self) -> int:
        """Return the run's whole seconds at their end: wandb lets a run go on at a whole second."""
        return int(self.summary.get("_runtime") or 0)


def write_cleaned(folder: RunFolder, cleaned: Sequence[Cleaned]) -> None:
    """Write `cleaned.json`, before anything is deleted: a record for each W&B run.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    records = [
        # Staged files are of no use any more: they have been sent.
        asdict(replace(each, segments=(), artifacts=()))
        | {
            "segments": [segment.to_json() for segment in each.segments],
            "artifacts": [_as_json(artifact) for artifact in each.artifacts],
        }
        for each in cleaned
    ]
    # As earlier versions have it, where there is one: they read it, too.
    write_json(folder.cleaned_file, records[0] if len(records) == 1 else {"wandb_runs": records})


def read_all_cleaned(folder: RunFolder) -> dict[str, Cleaned]:
    """Read the records of a run's deleted segments by the W&B run's id; none where none was deleted.

    Raises
    ------
    NotVerifiedError
        When the file is not as it was written.
    """
    try:
        found = read_json(folder.cleaned_file)
        return {one.run_id: one for one in map(_cleaned, found.get("wandb_runs", [found]))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{folder.cleaned_file}: found a file that cannot be read ({error}), expected what runferry clean wrote"
        )
        raise NotVerifiedError(message) from error


def read_cleaned(folder: RunFolder, run_id: str | None = None) -> Cleaned | None:
    """Read the record of the deleted segments of a W&B run, of the first without an id; None where none was deleted.

    Raises
    ------
    NotVerifiedError
        As `read_all_cleaned`.
    """
    found = read_all_cleaned(folder)
    return found.get(run_id) if run_id else next(iter(found.values()), None)


def _as_json(artifact: LoggedArtifact) -> dict[str, Any]:
    labels = {"aliases": sorted(artifact.aliases), "tags": sorted(artifact.tags)}
    return {"type": artifact.type, "name": artifact.name, "digest": artifact.digest, **labels}


def _cleaned(record: dict[str, Any]) -> Cleaned:
    found = dict(record)
    found["segments"] = tuple(from_json(SegmentEntry, each, "segments") for each in found["segments"])
    found["files"] = tuple(found["files"])
    found["artifacts"] = tuple(
        LoggedArtifact(
            each["type"],
            each["name"],
            each["digest"],
            aliases=frozenset(each.get("aliases", ())),
            tags=frozenset(each.get("tags", ())),
            incremental=each.get("incremental", False),
        )
        for each in found["artifacts"]
    )
    return Cleaned(**found)

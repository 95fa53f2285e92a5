"""What the segments of a run said that `runferry clean` has deleted: `cleaned.json` in the run's folder.

It is there for whoever asks the server again, since a receipt can get lost: Snakemake removes the output of a rule
before it runs it. And for a run that goes on: what a later attempt writes comes behind what was deleted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from runferry.errors import NotVerifiedError
from runferry.system.files import read_json, write_json
from runferry.trackers.wandb.log.records import LoggedArtifact

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder


@dataclass(frozen=True)
class Cleaned:
    """What was deleted, as the server had it at that time."""

    date: str
    """When, UTC, as ISO 8601 has it."""
    segments: tuple[dict[str, Any], ...]
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
        """The segments' names."""
        return {segment["name"] for segment in self.segments}

    @property
    def seconds(self) -> int:
        """At how many seconds of the run they ended: wandb lets a run go on at a whole second."""
        return int(self.summary.get("_runtime") or 0)


def write_cleaned(folder: RunFolder, cleaned: Cleaned) -> None:
    """Write it down, before anything is deleted.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    # Staged files are of no use any more: they have been sent.
    artifacts = tuple(replace(artifact, staged=()) for artifact in cleaned.artifacts)
    write_json(folder.cleaned_file, asdict(replace(cleaned, artifacts=artifacts)))


def read_cleaned(folder: RunFolder) -> Cleaned | None:
    """Read what was deleted of a run; None where nothing was.

    Raises
    ------
    NotVerifiedError
        When the file is not as it was written.
    """
    try:
        found = read_json(folder.cleaned_file)
        found["segments"] = tuple(found["segments"])
        found["files"] = tuple(found["files"])
        found["artifacts"] = tuple(
            LoggedArtifact(each["type"], each["name"], each["digest"]) for each in found["artifacts"]
        )
        return Cleaned(**found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = (
            f"{folder.cleaned_file}: found what cannot be read ({error}), expected what runferry clean wrote there"
        )
        raise NotVerifiedError(message) from error

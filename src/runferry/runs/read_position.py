"""Read and write `live.json`, which says up to where live sync has read a run.

It saves reading a long log again from its start; without it the server is asked instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from runferry.runs.folder import STATE_FILE
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder

_FORMAT = 1


@dataclass
class ReadPosition:
    """The position up to which a run has been read: the content of `live.json`, besides its `format`.

    No `runferry.system.records.Record`, because each row changes it.
    """

    segment: str = ""
    """Name of the segment that is being read."""
    position: int = 0
    """Bytes of its log that have been read."""
    rows: int = 0
    """Of all segments so far: the number of the next row."""
    last_step: int = -1
    """The step that the last row has on the server."""
    seconds_before: float = 0.0
    """What `_runtime` had come to when the segment was begun."""
    runtime: float = 0.0
    """The last `_runtime` of the segment."""
    run: dict[str, Any] = field(default_factory=dict[str, Any])
    """Id, entity, project, group, display name and tags, from the run's record."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    summary: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def read(cls, folder: RunFolder) -> Self | None:
        """Read the position of an earlier process; None where there is none, or none that this version can read."""
        try:
            state = read_json(folder.path / STATE_FILE)
            return cls(**state) if state.pop("format") == _FORMAT else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: RunFolder) -> None:
        """Write the position.

        Raises
        ------
        OSError
            When the file cannot be written, as on a full disk.
        """
        write_json(folder.path / STATE_FILE, {"format": _FORMAT, **vars(self)})

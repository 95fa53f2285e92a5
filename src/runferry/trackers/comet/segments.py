"""Read what a run has logged to Comet from disk: archives, and the messages of experiments that did not end.

One attempt's segment is its folder `comet/attempt-<n>/` in the run's. In it lies, for each experiment, an archive as
`comet upload` takes it (a zip with `experiment.json`, `messages.json` of a message per line, and the files that were
logged) or, where the experiment was not ended, a folder `data-*` with the same in it, beside an archive that is empty
(see `runferry.trackers.comet.hook`). The format is that of comet_ml 3.47.1 to 3.58.8.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from runferry.errors import SegmentError
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from runferry.runs.folder import RunFolder


ATTEMPT_PREFIX = "attempt-"


EXPERIMENT_FILE, MESSAGES_FILE = "experiment.json", "messages.json"


SAMPLED_FROM = 15_000
"""Values of a metric in an archive, of which `comet upload` sends so many, chosen at random, where there are more
(COMET_OFFLINE_SAMPLING_SIZE)."""

METRIC, PARAMETER, OTHER, FILE, REMOTE_FILE = "metric_msg", "parameter_msg", "log_other", "file_upload", "remote_file"

Point = tuple[int | None, str]
"""The step of a metric's value and the value, as `comparable_text` writes it."""


@dataclass(frozen=True)
class Archive:
    """The files that one experiment of an attempt left.

    Attributes
    ----------
    name : str
        Below `comet/`, as receipts have it.
    file : Path
        The archive, or the `messages.json` of an experiment that was not ended.
    metadata : dict
        `experiment.json`: `offline_id` (the experiment's key), `project_name`, `workspace`, `tags`, `start_time` and
        `stop_time` (ms since 1970), `resume_strategy`; made up from the run's record where it is missing.
    """

    name: str
    file: Path
    metadata: dict[str, Any]

    @property
    def key(self) -> str:
        """Return the experiment's key."""
        return str(self.metadata["offline_id"])

    @property
    def ended(self) -> bool:
        """Return whether Comet made the archive itself."""
        return self.file.suffix == ".zip"

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the messages in their order; an unreadable line, as the last one of a killed run, is left out.

        Raises
        ------
        SegmentError
            When the file cannot be read.
        """
        try:
            with self._opened(MESSAGES_FILE) as lines:
                for line in lines:
                    try:
                        message = json.loads(line)
                    except ValueError:
                        continue
                    if is_mapping(message) and is_mapping(message.get("payload")):
                        yield message
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError) as error:
            message = f"{self.file}: found a file that cannot be read ({error}), expected an archive of Comet's"
            raise SegmentError(message) from error

    def files(self) -> list[str]:
        """Return the names of the files in the archive besides experiment and messages."""
        if self.ended:
            with zipfile.ZipFile(self.file) as archive:
                names = archive.namelist()
        else:
            names = [file.name for file in self.file.parent.iterdir()]
        return [name for name in names if name not in {EXPERIMENT_FILE, MESSAGES_FILE}]

    def size_of(self, file: str) -> int | None:
        """Return the size in bytes of a file in the archive; None where it has none of that name."""
        try:
            if self.ended:
                with zipfile.ZipFile(self.file) as archive:
                    return archive.getinfo(file).file_size
            return (self.file.parent / file).stat().st_size
        except (KeyError, FileNotFoundError):
            return None

    @contextmanager
    def opened(self, file: str) -> Generator[IO[bytes]]:
        """Open a file in the archive for reading."""
        with self._opened(file) as stream:
            yield stream

    @contextmanager
    def _opened(self, file: str) -> Generator[IO[bytes]]:
        if self.ended:
            with zipfile.ZipFile(self.file) as archive, archive.open(file) as stream:
                yield stream
        else:
            with (self.file.parent / file).open("rb") as stream:
                yield stream


@dataclass
class Contents:
    """The joint contents of messages.

    Attributes
    ----------
    metrics : dict of str to Counter of Point
        How often each value was logged, by the metric's name.
    sampled : set of str
        The metrics of which `comet upload` sends a sample.
    parameters, others : dict
        The last value of each, by name.
    assets : dict of str to (str, int or None)
        Name and size in bytes (None for one that lies elsewhere) of each file that was logged, by its asset id.
    tags : set of str
    other_kinds : set of str
        Kinds of messages besides those: what they brought cannot be asked for.
    """

    metrics: dict[str, Counter[Point]] = field(default_factory=dict[str, "Counter[Point]"])
    sampled: set[str] = field(default_factory=set[str])
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    others: dict[str, Any] = field(default_factory=dict[str, Any])
    assets: dict[str, tuple[str, int | None]] = field(default_factory=dict[str, "tuple[str, int | None]"])
    tags: set[str] = field(default_factory=set[str])
    other_kinds: set[str] = field(default_factory=set[str])

    @property
    def values(self) -> int:
        """Count the values of all metrics."""
        return sum(points.total() for points in self.metrics.values())

    def add(self, archive: Archive) -> None:
        """Add the contents of an archive.

        Raises
        ------
        SegmentError
            When it cannot be read.
        """
        counted: Counter[str] = Counter()
        for message in archive.messages():
            kind, payload = message.get("type"), message["payload"]
            if kind == METRIC:
                name, point = metric_of(payload)
                self.metrics.setdefault(name, Counter())[point] += 1
                counted[name] += 1
            elif kind == PARAMETER:
                self.parameters[payload["param"]["paramName"]] = payload["param"]["paramValue"]
            elif kind == OTHER:
                self.others[payload["key"]] = payload["value"]
            elif kind in {FILE, REMOTE_FILE}:
                self._add_asset(archive, payload)
            else:
                self.other_kinds.add(str(kind))
        self.sampled |= {name for name, number in counted.items() if number > SAMPLED_FROM}
        self.tags.update(archive.metadata.get("tags") or ())

    def _add_asset(self, archive: Archive, payload: Mapping[str, Any]) -> None:
        asset = asset_of(payload)
        if asset is None or payload.get("upload_type") == "git-patch":
            self.other_kinds.add(FILE)
            return
        file, parameters = payload.get("file_path"), payload["additional_params"]
        name = str(parameters.get("fileName") or "")
        if parameters.get("overwrite"):
            self.assets = {key: value for key, value in self.assets.items() if value[0] != name}
        self.assets[asset] = (name, archive.size_of(file) if file else None)


def metric_of(payload: Mapping[str, Any]) -> tuple[str, Point]:
    """Return the name, step and value of the metric in a message."""
    metric = payload["metric"]
    return metric["metricName"], (as_step(metric.get("step")), comparable_text(metric.get("metricValue")))


def asset_of(payload: Mapping[str, Any]) -> str | None:
    """Return the asset id, given by the client, in a message about a file."""
    parameters = payload.get("additional_params")
    return parameters.get("assetId") if is_mapping(parameters) else None


def as_step(value: Any) -> int | None:
    """Convert a step, which may be a text."""
    return None if value is None else int(float(value))


def comparable_text(value: Any) -> str:
    """Format a value so that a number and its text are equal: to 12 digits, `nan` and `inf` as Python has them."""
    try:
        # A truth is a number to Python and none to Comet.
        return str(value).casefold() if isinstance(value, bool) else f"{float(value):.12g}"
    except (TypeError, ValueError):
        return str(value).strip().casefold()


def comet_folder(folder: RunFolder) -> Path:
    """Return the folder of a run's segments."""
    return folder.path / "comet"


def attempt_number(attempt: Path) -> int | None:
    """Return the number in an attempt's folder name; None where it has none."""
    text = attempt.name.removeprefix(ATTEMPT_PREFIX)
    return int(text) if text.isdigit() else None

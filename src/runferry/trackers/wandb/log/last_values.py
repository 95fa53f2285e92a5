"""Keep the last value of each key, as the summary and config records of a segment set and remove them.

wandb writes two summary records for each row of the history, and each sets all that the row has; so nearly every one
of them says nothing that a later one does not say. These are told by their bytes alone: to look into each would be
most of what reading a segment costs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.system.values import decode_all, set_at
from runferry.trackers.wandb.log.messages import parser, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runferry.trackers.wandb.log.messages import KeyPath

_AT_ONCE = 1000
"""Summary records that are kept until they are looked at, so that a log of any size needs little memory."""
_PATTERNS_AT_ONCE = 4
"""For so many records: a run that sets another key each time is looked into, which costs less than patterns."""
# A wandb_internal_pb2.Record of a number and a summary, as wandb-core writes it: tags and lengths, then the summary.
_SUMMARY = re.compile(rb"\x08[\x80-\xff]{0,9}[\x00-\x7f]\x1a([\x80-\xff]{0,4}[\x00-\x7f])", re.DOTALL)


class LastValues:
    """JSON texts by the path of their key, in the order in which they were set last.

    Attributes
    ----------
    undecodable : int
        Records that could not be read, once `texts` was asked for.
    """

    def __init__(self) -> None:
        self._parse = parser("SummaryRecord")
        self._texts: dict[KeyPath, str] = {}
        self._waiting: list[bytes] = []
        self.undecodable = 0

    def add(self, record: Any) -> None:
        """Apply a parsed summary or config record."""
        self._look()
        update(self._texts, record)

    def add_bytes(self, summary: bytes) -> None:
        """Add a summary record that was not parsed."""
        self._waiting.append(summary)
        if len(self._waiting) >= _AT_ONCE:
            self._look()

    @property
    def texts(self) -> dict[KeyPath, str]:
        """Return the values that are set by now."""
        self._look()
        return self._texts

    def _look(self) -> None:
        """Look into the records that wait, last one first, but for those of which all is set again by later ones."""
        telling: list[Any] = []
        paths: set[KeyPath] = set()
        pattern, patterns = None, 0
        for summary in reversed(self._waiting):
            if pattern and pattern.fullmatch(summary):
                continue
            try:
                record = self._parse(summary)
            except DecodeError:
                self.undecodable += 1
                continue
            telling.append(record)
            found = {path_of(item) for item in record.update}
            if not found <= paths and patterns < _PATTERNS_AT_ONCE:
                paths |= found
                pattern, patterns = _updates_of(frozenset(paths)), patterns + 1
        self._waiting = []
        for record in reversed(telling):
            update(self._texts, record)


def summary_bytes(payload: bytes) -> bytes | None:
    """Return the summary in the bytes of a record; None where the record has more than that and a number."""
    begin = _SUMMARY.match(payload)
    if begin is None:
        return None
    length, shift = 0, 0
    for byte in begin[1]:
        length |= (byte & 0x7F) << shift
        shift += 7
    return payload[begin.end() :] if begin.end() + length == len(payload) else None


def update(texts: dict[KeyPath, str], record: Any) -> None:
    """Set and remove the keys that a summary or config record sets and removes."""
    for item in record.update:
        path = path_of(item)
        if len(path) > 1:
            _drop_values_above(texts, path)
        texts.pop(path, None)
        texts[path] = item.value_json
    for item in record.remove:
        gone = path_of(item)
        for path in [path for path in texts if path[: len(gone)] == gone]:
            del texts[path]


def _drop_values_above(texts: dict[KeyPath, str], path: KeyPath) -> None:
    """Remove values that are set at a part of a path: wandb-core keeps nothing of them, also where they are mappings.

    So `summary["best"] = {"loss": 1, "epoch": 1}` and then `summary["best"]["epoch"] = 3` leaves an epoch only, on W&B
    too (measured with 0.31, online and synced).
    """
    for size in range(1, len(path)):
        above = path[:size]
        if texts.pop(above, None) is not None:
            # What was set below it before it is gone as well.
            for below in [each for each in texts if each[:size] == above]:
                del texts[below]


def tree(texts: dict[KeyPath, str]) -> dict[str, Any]:
    """Decode JSON texts, and nest them by their keys."""
    root: dict[str, Any] = {}
    for path, value in zip(texts, decode_all(list(texts.values())), strict=True):
        set_at(root, path, value)
    return root


@lru_cache(maxsize=64)
def _updates_of(paths: frozenset[KeyPath]) -> re.Pattern[bytes] | None:
    r"""Make a pattern for a summary record that sets nothing but some of these keys, and removes nothing.

    An item is its tag and length (`\n`, a byte), the key's or the nested keys', and the tag and length of the value
    (`\x82\x01`, a byte). A value is JSON on one line. Where it is not of ASCII only, or longer than a byte can say, the
    pattern does not match and the record is looked into.
    """
    starts = sorted(start for path in paths for start in _starts(path))
    if not starts:
        return None
    return re.compile(rb"(?>\n[\x00-\x7f]" + _one_of(starts) + rb"[\x00-\x7f][ -~]*+)*+", re.DOTALL)


def _starts(path: KeyPath) -> Iterable[bytes]:
    """Give the bytes of an item in front of its value's length; none for a key that takes more than a byte to count."""
    keys = [key.encode() for key in path]
    if all(len(key) < 0x80 for key in keys):
        yield b"".join(b"\x12%c%b" % (len(key), key) for key in keys) + b"\x82\x01"
        if len(keys) == 1:
            yield b"\n%c%b\x82\x01" % (len(keys[0]), keys[0])


def _one_of(words: list[bytes]) -> bytes:
    """Write a pattern for one of some sorted words, of which none begins another, branching at each letter."""
    first, last = words[0], words[-1]
    size = next((number for number, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    common = re.escape(first[:size])
    if len(words) == 1:
        return common
    branches: dict[int, list[bytes]] = {}
    for word in words:
        branches.setdefault(word[size], []).append(word[size:])
    return common + b"(?>" + b"|".join(map(_one_of, branches.values())) + b")"

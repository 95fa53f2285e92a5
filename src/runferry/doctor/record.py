"""Format findings as lines for a screen, as Markdown for an issue and as JSON for a program."""

from __future__ import annotations

import getpass
import os
import re
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from runferry import __version__
from runferry.system.files import json_text
from runferry.trackers.api_keys import KEY_VARIABLE, held_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from runferry.doctor.finding import Finding


_WIDTH = 120


_LEGEND = {
    "ok": "as expected",
    "info": "nothing was expected",
    "differs": "not as the cluster's facts say",
    "problem": "something would not work",
    "unknown": "it could not be found out",
}


@dataclass(frozen=True)
class DoctorRecord:
    """The findings of one run of the doctor.

    Attributes
    ----------
    cluster : str
        Its name.
    sources : sequence
        Where its facts were read.
    time : datetime
        When it ended.
    findings : sequence
        Fit to be shown.
    probed : bool
        Whether a compute node was looked at, too.
    """

    cluster: str
    sources: Sequence[str]
    time: datetime
    findings: Sequence[Finding]
    probed: bool

    @property
    def exit_code(self) -> int:
        """Return 0 where everything is as expected, else 1."""
        return 0 if all(finding.as_expected for finding in self.findings) else 1

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "runferry": __version__,
            "cluster": self.cluster,
            "facts": list(self.sources),
            "time": self.time.isoformat(timespec="seconds"),
            "probed": self.probed,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def file_text(self, suffix: str) -> str:
        """Return the file's content: JSON for ".json", else Markdown."""
        return json_text(self.as_json()) if suffix == ".json" else "\n".join(self._markdown()) + "\n"

    def summary(self) -> str:
        """Return the number of findings with each mark, in one line."""
        counts = Counter(finding.mark for finding in self.findings)
        return ", ".join(f"{counts[mark]} {mark}" for mark in _LEGEND if counts[mark])

    def _markdown(self) -> Iterator[str]:
        yield f"# runferry doctor: {self.cluster}, {self.time:%Y-%m-%d %H:%M} UTC"
        yield ""
        looked = "with" if self.probed else "without"
        yield f"runferry {__version__}, {looked} a job on a compute node: {self.summary()}."
        yield f"The facts it is compared with: {'; '.join(self.sources) or 'none'}."
        yield "It holds no key, and `<user>` for the user's name; it does hold accounts, hosts and folders."
        yield ""
        yield "; ".join(f"`{mark}`: {words}" for mark, words in _LEGEND.items()) + "."
        others = [finding for finding in self.findings if not finding.as_expected]
        yield from _table("Not as expected", others)
        yield from _table("Everything", self.findings)


def screen_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the findings of one check as lines, wrapped to the width of a screen."""
    for finding in findings:
        begin = f"{finding.mark:8} {finding.about}: {finding.what}: "
        rest = [finding.found]
        rest += [f"expected {finding.expected}"] * bool(finding.expected)
        rest += [f"-> {finding.todo}"] * bool(finding.todo)
        yield from textwrap.wrap("; ".join(rest), _WIDTH, initial_indent=begin, subsequent_indent=" " * 9)


def _table(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if not findings:
        yield "Nothing."
        return
    yield "| | what | found | expected |"
    yield "| --- | --- | --- | --- |"
    for finding in findings:
        expected = "; ".join(filter(None, (finding.expected, finding.todo and f"to do: {finding.todo}")))
        cells = (finding.mark, f"{finding.about}: {finding.what}", finding.found, expected)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


REMOVED, USER = "<removed>", "<user>"


# W&B's keys: 40 digits, with the name of a server of one's own before them, or the longer ones of 2025.
_KEY = re.compile(r"\b(?:[\w]+-)?[0-9a-f]{40,}\b|\bwandb_v\d+_\w+")


_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class Redaction:
    """Removes keys, passwords and the user's name, so that texts can be attached to an issue."""

    def __init__(self) -> None:
        self._keys = [key for key in (os.environ.get(KEY_VARIABLE), held_key()) if key]
        self._user = re.compile(rf"(?<![\w.-]){re.escape(getpass.getuser())}(?![\w-])")

    def add_key(self, key: str) -> None:
        """Remove this key, too."""
        self._keys.append(key)

    def text(self, text: str) -> str:
        """Return a text without keys, passwords and the user's name."""
        for key in self._keys:
            text = text.replace(key, REMOVED)
        text = _PASSWORD.sub(f"{REMOVED}@", _KEY.sub(REMOVED, text))
        return self._user.sub(USER, text)

    def findings(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return findings without keys, passwords and the user's name."""
        return [
            replace(one, **{name: self.text(getattr(one, name)) for name in ("what", "found", "expected", "todo")})
            for one in findings
        ]

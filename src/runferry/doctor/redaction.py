"""Takes out of what is shown what is nobody's business: keys, passwords in addresses, the user's name.

No check yields a key. This is for what other programs print, which may be anything.
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from runferry.key import KEY_VARIABLE, held_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runferry.doctor.finding import Finding

REMOVED, USER = "<removed>", "<user>"
# W&B's keys: 40 digits, with the name of a server of one's own before them, or the longer ones of 2025.
_KEY = re.compile(r"\b(?:[\w]+-)?[0-9a-f]{40,}\b|\bwandb_v\d+_\w+")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class Redaction:
    """Words things so that they can be attached to an issue."""

    def __init__(self) -> None:
        self._keys = [key for key in (os.environ.get(KEY_VARIABLE), held_key()) if key]
        self._user = re.compile(rf"(?<![\w.-]){re.escape(getpass.getuser())}(?![\w-])")

    def text(self, text: str) -> str:
        """Return a text without them."""
        for key in self._keys:
            text = text.replace(key, REMOVED)
        text = _PASSWORD.sub(f"{REMOVED}@", _KEY.sub(REMOVED, text))
        return self._user.sub(USER, text)

    def findings(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return findings without them."""
        return [
            replace(one, **{name: self.text(getattr(one, name)) for name in ("what", "found", "expected", "todo")})
            for one in findings
        ]

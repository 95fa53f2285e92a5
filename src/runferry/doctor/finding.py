"""Define a finding of the doctor: what was found, and how it compares with what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "info", "differs", "problem", "unknown"]
"""`ok`: as expected. `info`: nothing was expected. `differs`: not as the cluster's facts say. `problem`: runferry, or a
part of it, would not work. `unknown`: it could not be found out."""

AS_EXPECTED = frozenset({"ok", "info"})


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    about : str
        What was looked at: "Slurm", "locks".
    what : str
        The thing itself: "default partition".
    mark : Mark
    found : str
    expected : str
        Nothing where it is as expected or nothing was.
    todo : str
        What to do about it, where there is something.
    """

    about: str
    what: str
    mark: Mark
    found: str
    expected: str = ""
    todo: str = ""

    @property
    def as_expected(self) -> bool:
        """Return whether the finding is as expected, or nothing was expected."""
        return self.mark in AS_EXPECTED

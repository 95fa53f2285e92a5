"""Write what the doctor found out about a server as JSON that can be attached to an issue."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from runferry import __version__
from runferry.doctor.server.assumptions import BY_ID
from runferry.trackers.wandb.address import is_wandbs_own

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runferry.doctor.finding import Finding


@dataclass(frozen=True)
class ServerRecord:
    """What was found out about a server.

    Attributes
    ----------
    base_url : str
        Its address, fit to be shown.
    time : datetime
        When it ended.
    took : float
        Seconds.
    lags : Mapping
        Seconds until each part of what was sent was shown; None where it was not in time.
    findings : sequence
        Fit to be shown.
    """

    base_url: str
    time: datetime
    took: float
    lags: Mapping[str, float | None]
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """Return 0 where every assumption holds, or its case did not come up; else 1."""
        return 0 if all(finding.as_expected for finding in self.findings) else 1

    def summary(self) -> str:
        """Return in one line how many assumptions hold, and which do not."""
        about = [finding for finding in self.findings if finding.what in BY_ID]
        parts = {
            "hold": [finding for finding in about if finding.mark == "ok"],
            "do not": [finding for finding in about if finding.mark in ("differs", "problem")],
            "could not be found out": [finding for finding in about if finding.mark == "unknown"],
            "did not come up": [finding for finding in about if finding.mark == "info"],
        }
        texts = [f"{len(some)} {words}{_names(some, words)}" for words, some in parts.items() if some]
        return f"of {len(about)} assumptions {', '.join(texts)}"

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "runferry": __version__,
            "wandb": version("wandb"),
            "server": self.base_url,
            "wandbs_own": is_wandbs_own(self.base_url),
            "time": self.time.isoformat(timespec="seconds"),
            "seconds": round(self.took, 1),
            "lags": dict(self.lags),
            "findings": [_as_json(finding) for finding in self.findings],
        }


def _as_json(finding: Finding) -> dict[str, Any]:
    assumption = BY_ID.get(finding.what)
    return {**asdict(finding), "assumed": assumption.says if assumption else ""}


def _names(findings: Sequence[Finding], words: str) -> str:
    return "" if words == "hold" else f" ({', '.join(finding.what for finding in findings)})"

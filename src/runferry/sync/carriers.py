"""Find the carrier of a tracker, which uploads runs to its server and verifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runferry.config.names import COMET

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

    from runferry.sync.outcome import Limits, Outcome
    from runferry.system.progress import Progress


class Carrier(Protocol):
    """Uploads runs to the server that it was made for, compares, and writes their receipts."""

    def carry(self, outcomes: Sequence[Outcome]) -> str | None:
        """Upload and verify runs; set each outcome's problem, or none where there is a receipt.

        Returns
        -------
        str or None
            What was wrong with the server after something was sent, if anything was.

        Raises
        ------
        ServerError
            When the server cannot be asked before anything is sent.
        """
        ...


def find_carrier(  # noqa: PLR0913 - what every carrier works with
    tracker: str, base_url: str | None, *, limits: Limits, results: Path, log: IO[str] | None, progress: Progress
) -> Carrier:
    """Return the carrier to a tracker's server; the caller holds the lock of `results`.

    Raises
    ------
    ServerError
        When there is no server or no key for it.
    """
    # Each imported where it is wanted: a sync of the one has no use for the other.
    if tracker == COMET:
        from runferry.sync.comet.carrier import CometCarrier
        from runferry.trackers.comet.server import find_server as find_comet_server

        return CometCarrier(find_comet_server(base_url, progress.say), limits, results, log, progress)
    from runferry.sync.wandb.carrier import WandbCarrier
    from runferry.trackers.wandb.login import find_server

    server = find_server(base_url, deadline=limits.deadline, say=progress.say)
    return WandbCarrier(server, limits, results, log, progress)

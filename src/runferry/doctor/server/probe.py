"""Try a W&B server with two small runs of made-up data, and delete them again."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.doctor.finding import Finding
from runferry.doctor.server import questions, streamed_run, synced_run
from runferry.doctor.server.assumptions import BY_ID
from runferry.doctor.server.findings import ABOUT, finding
from runferry.doctor.server.made_up import NAME, write_segment
from runferry.doctor.server.place import Patience, Place
from runferry.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runferry.trackers.wandb.server import Server

    Send = Callable[[Sequence[Path], Server, Path], object]
    """Sends segments to the server as `runferry sync` does; the folder is one that it may write to."""

CLEAN_UP = "clean-up"
"""What the finding is about that says whether the runs were deleted."""


def new_names() -> tuple[str, str]:
    """Return ids for the two runs, that nobody has."""
    begin = f"doctor-{secrets.token_hex(4)}"
    return f"{begin}-synced", f"{begin}-streamed"


@dataclass
class ServerProbe:
    """A try of a server.

    Attributes
    ----------
    place : Place
        Where the runs are made.
    send : callable
        Sends segments.
    show : callable
        Takes findings as soon as they are there.
    say : callable
        Takes a line for a user who waits.
    runs : tuple
        The ids of the two runs: the one that `wandb sync` sends, and the one whose lines are sent to offsets.
    lags : dict
        Seconds until a part of what was sent was shown, by its name; None where it was not in time.
    findings : list
        In the order in which they were made.
    """

    place: Place
    send: Send
    show: Callable[[list[Finding]], object]
    say: Callable[[str], object]
    runs: tuple[str, str] = field(default_factory=new_names)
    lags: dict[str, float | None] = field(default_factory=dict[str, "float | None"])
    findings: list[Finding] = field(default_factory=list[Finding])

    def try_all(self) -> None:
        """Make the runs, find out which assumptions hold, and delete the runs, also where Ctrl-C ends it.

        What could not be found out is a finding "unknown", with what the server said.

        Raises
        ------
        ServerError
            When the server lets no run be made there; then there is nothing to delete.
        """
        streamed = self.runs[1]
        place = self.place
        made = True
        try:
            try:
                place.upsert(streamed, displayName=NAME)
            except ServerError:
                made = False
                raise
            with tempfile.TemporaryDirectory(prefix="runferry-doctor-") as folder:
                self._sync(Path(folder))
            self.say("doctor: sending lines of the second run to offsets")
            if self._try(["rows_lag", "history_end", "longest_history"], lambda: self._begin(streamed)):
                self._try(["resent", "gaps"], lambda: streamed_run.offsets(place, streamed))
                self._try(["largest_request"], lambda: [streamed_run.largest_request(place, streamed)])
                shows = self.lags.get("summary of wandb sync") is not None
                self._try(["summary_nan"], lambda: [streamed_run.summary_nan(place, streamed, others_show=shows)])
                self._try(["states"], lambda: [streamed_run.states(place, streamed)])
            self._add(synced_run.lag_in_words(place, self.lags))
            self.say("doctor: asking as sync asks for many runs")
            self._try(["most_names", "longest_page"], lambda: questions.names(place, self.runs))
            self._try(["heavy_run_seconds"], lambda: [questions.heavy(place, self.runs)])
            self._try(["redirects", "limit"], lambda: questions.answers(place, streamed))
            for name in BY_ID.keys() - {each.what for each in self.findings}:
                self._add(finding(name, "not tried, because of what comes before", holds=None))
        finally:
            # Also at Ctrl-C.
            if made:
                self._clean_up()

    def _begin(self, run: str) -> Iterable[Finding]:
        yield streamed_run.begin(self.place, run, self.lags)
        yield from streamed_run.history(self.place, run)

    def _sync(self, folder: Path) -> None:
        synced, place = self.runs[0], self.place
        first, second = synced_run.segments(place, synced)
        self.say("doctor: writing two segments of a made-up run with wandb, offline")
        # Each in a folder of its own: wandb names a segment by the second at which it begins.
        logs = [write_segment(each, folder / str(number)) for number, each in enumerate((first, second), start=1)]
        self.say("doctor: sending the first segment with `wandb sync`")

        def send(log: Path) -> Callable[[], object]:
            return lambda: self.send([log], place.server, folder)

        names = ["files_lag", "rows", "integers", "summary_dots"]
        if self._try(names, lambda: synced_run.first_segment(place, synced, send(logs[0]), self.lags)):
            self.say("doctor: sending the second segment")
            self._try(["segments"], lambda: [synced_run.second_segment(place, synced, send(logs[1]), self.lags)])

    def _try(self, names: Sequence[str], probe: Callable[[], Iterable[Finding]]) -> bool:
        """Collect findings; return False where the server did not let it come to an end."""
        left = list(names)
        try:
            for found in probe():
                left.remove(found.what)
                self._add(found)
        except ServerError as error:
            for name in left:
                self._add(finding(name, str(error), holds=None))
            return False
        return True

    def _add(self, found: Finding) -> None:
        self.findings.append(found)
        self.show([found])

    def _left(self) -> list[str]:
        return [name for name in self.runs if self.place.ids([name])]

    def _clean_up(self) -> None:
        self.say("doctor: deleting the two runs")
        try:
            for name in self.runs:
                for run_id in self.place.ids([name]).values():
                    self.place.delete(run_id)
            left = self.place.until(self._left, lambda left: not left, self.place.patience.steady)
            still, why = left.answer, ""
        except (ServerError, KeyboardInterrupt) as error:
            still, why = list(self.runs), f" ({str(error) or 'interrupted'})"
        if not still:
            self._add(
                Finding(ABOUT, CLEAN_UP, "info", f"both runs are deleted; the project {self.place.project} stays")
            )
            return
        place = self.place
        urls = ", ".join(place.server.run_url(place.entity, place.project, name) for name in still)
        todo = "delete them on their pages; they hold made-up data only"
        self._add(Finding(ABOUT, CLEAN_UP, "info", f"perhaps not deleted{why}: {urls}", todo=todo))


def find_place(server: Server, entity: str | None, project: str, patience: Patience | None = None) -> Place:
    """Ask a server who the user is, and return where the runs can be made.

    Parameters
    ----------
    server
        With the user's key.
    entity, project
        Where to; None is the key's default entity.
    patience
        How long to wait.

    Raises
    ------
    ServerError
        When the server cannot be reached, redirects or refuses the key.
    """
    first = questions.viewer(server)
    default = server.default_entity()
    return Place(server, entity or default, project, first, patience or Patience())

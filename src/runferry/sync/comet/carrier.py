"""Upload the missing parts of runs to a Comet server, compare, and write receipts."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runferry import __version__
from runferry.errors import NotVerifiedError, RunferryError, ServerError
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.code import code_of_attempts
from runferry.runs.folder import FOLDER
from runferry.runs.receipt import describe_log
from runferry.runs.receipt_record import ExperimentEntry, Receipt
from runferry.runs.receipt_stamp import archives_on_disk
from runferry.sync.comet.comparison import differences, missing_points, not_compared
from runferry.sync.comet.upload import Selection, UploadCall, find_comet, upload, write_archive
from runferry.sync.outcome import refuse_running
from runferry.system.files import write_atomically
from runferry.system.values import batches
from runferry.trackers.comet.reading import read_archives
from runferry.trackers.comet.segments import Archive, Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runferry.runs.run_record import RunRecord
    from runferry.sync.outcome import Limits, Outcome
    from runferry.system.progress import Progress
    from runferry.trackers.comet.server import CometServer, ExperimentOnServer

RUNS_PER_UPLOAD = 25
"""In one `comet upload`: its start (0.4 s of CPU) is little beside them, and one deadline is for all."""
BYTES_PER_SECOND = 1e6
"""What a slow network carries at least: for each megabyte an upload gets a second more."""
SENT_SUFFIX = ".sent"
"""Of the file beside an archive that says that it was sent, or begun to be."""
_SCRATCH_PREFIX = "comet-"
_PAUSES = (0.2, 0.5, 1.0, 2.0)


@dataclass
class _Experiment:
    """One experiment of a run: what is on disk of it, and what is there."""

    key: str
    archives: list[Archive] = field(default_factory=list[Archive])
    disk: Contents = field(default_factory=Contents)
    there: ExperimentOnServer | None = None
    differences: list[str] = field(default_factory=list[str])

    def compare(self, server: CometServer) -> None:
        self.there = server.experiment(self.key, self.disk.metrics)
        self.differences = differences(self.disk, self.there)

    @property
    def has_more(self) -> bool:
        """Return whether the server has values that the disk does not have: whatever is sent, they stay."""
        return self.there is not None and any(
            Counter(points) - self.disk.metrics[name] for name, points in self.there.metrics.items()
        )


@dataclass
class _CometRun:
    """One run on its way."""

    outcome: Outcome
    run: RunRecord
    experiments: list[_Experiment]
    unreadable: dict[str, str]

    @property
    def differences(self) -> list[str]:
        return [line for each in self.experiments for line in each.differences]

    @property
    def bytes(self) -> int:
        return sum(archive.file.stat().st_size for each in self.experiments for archive in each.archives)


@dataclass
class CometCarrier:
    """Uploads the missing parts of runs to a Comet server and verifies them (see `runferry.sync.carriers.Carrier`).

    `results` is the folder whose lock is held.
    """

    server: CometServer
    limits: Limits
    results: Path
    log: IO[str] | None
    progress: Progress
    _said: list[str] = field(default_factory=list[str])

    def carry(self, outcomes: Sequence[Outcome]) -> str | None:
        """Upload and verify runs; see `runferry.sync.carriers.Carrier.carry`."""
        jobs = list(self._jobs(outcomes))
        for job in jobs:
            for experiment in job.experiments:
                experiment.compare(self.server)
        lacking = [job for job in jobs if job.differences]
        if lacking:
            find_comet()
        trouble: str | None = None
        for some in batches(lacking, RUNS_PER_UPLOAD):
            # What the first of them found out, the others need not.
            trouble = trouble or self._upload(some)
            for job in some:
                job.outcome.problem = trouble or (self._problem(job) if job.differences else None)
        for job in jobs:
            if not job.outcome.problem:
                self._conclude(job)
        return trouble

    def _upload(self, jobs: Sequence[_CometRun]) -> str | None:
        """Send what the server lacks of runs, and compare; returns what was wrong with the server, if anything was."""
        self._said.clear()
        try:
            self._send(jobs)
            self._wait(jobs)
        except ServerError as error:
            return str(error)
        return None

    def _jobs(self, outcomes: Iterable[Outcome]) -> Iterable[_CometRun]:
        for outcome in outcomes:
            try:
                run = outcome.folder.read_run()
                refuse_running(outcome.folder)
                archives, unreadable = read_archives(outcome.folder, run)
                if not archives:
                    raise NotVerifiedError(f"found {_why_nothing(outcome, unreadable)}")
                experiments: dict[str, _Experiment] = {}
                for archive in archives:
                    experiment = experiments.setdefault(archive.key, _Experiment(archive.key))
                    experiment.archives.append(archive)
                    experiment.disk.add(archive)
                if outcome.asked:
                    outcome.folder.receipt_file.unlink(missing_ok=True)
            except (RunferryError, OSError, ValueError, KeyError, TypeError) as error:
                outcome.problem = str(error)
                continue
            yield _CometRun(outcome, run, list(experiments.values()), unreadable)

    def _send(self, jobs: Sequence[_CometRun]) -> None:
        folder = self.results / FOLDER
        for left in folder.glob(f"{_SCRATCH_PREFIX}*"):
            # Of a process that was killed: this one holds the lock.
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH_PREFIX, dir=folder) as name:
            scratch = Path(name)
            archives = [
                each for number, job in enumerate(jobs) for each in self._archives_to_send(job, scratch / str(number))
            ]
            if not archives:
                return
            deadline = self.limits.deadline + sum(job.bytes for job in jobs) / BYTES_PER_SECOND
            call = UploadCall(self.results, scratch, deadline, self.log, self._said.append)
            upload(archives, self.server, call)

    def _archives_to_send(self, job: _CometRun, scratch: Path) -> Iterable[tuple[Path, dict[str, Any]]]:
        scratch.mkdir()
        for experiment in job.experiments:
            if not experiment.differences or experiment.has_more:
                continue
            missing = missing_points(experiment.disk, experiment.there)
            held = set(experiment.there.assets) if experiment.there else set[str]()
            for archive in experiment.archives:
                sent = archive.file.with_name(archive.file.name + SENT_SUFFIX)
                again = experiment.there is not None and sent.exists()
                error = _error_of(job) if archive is experiment.archives[-1] else None
                first = experiment.there is None and archive is experiment.archives[0]
                job.outcome.sent.append(archive.name)
                # Before anything is sent, so that after a kill nothing is sent that would be there twice.
                write_atomically(sent, "")
                if first and archive.ended and not error:
                    # As Comet made it, so that large files are not copied; what it sends is taken off.
                    for message in archive.messages():
                        Selection(missing).takes(message)
                    yield archive.file, archive.metadata
                    continue
                target = scratch / f"{experiment.key}-{len(job.outcome.sent)}.zip"
                write_archive(archive, Selection(missing, held, again, error), target)
                yield target, archive.metadata

    def _wait(self, jobs: Sequence[_CometRun]) -> None:
        """Ask until the server holds all, for a while: Comet goes on after the upload (its own words)."""
        end = time.monotonic() + self.limits.patience
        pauses = iter(_PAUSES)
        while True:
            waiting = [each for job in jobs for each in job.experiments if each.differences]
            for experiment in waiting:
                experiment.compare(self.server)
            # What was sent twice stays there twice, however long one waits.
            if all(each.has_more for each in waiting if each.differences) or time.monotonic() > end:
                return
            time.sleep(next(pauses, _PAUSES[-1]))

    def _problem(self, job: _CometRun) -> str:
        lines = job.differences
        text = "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")
        said = self._said[-1].strip() if self._said else ""
        return f"not verified: {text}" + (f" (comet upload said: {said})" if said else "")

    def _conclude(self, job: _CometRun) -> None:
        folder = job.outcome.folder
        file = folder.receipt_file if job.outcome.asked else folder.interim_receipt_file
        try:
            self._receipt(job).write(file)
        except OSError as error:
            job.outcome.problem = f"{file}: cannot be written ({error.strerror})"
            return
        if file != folder.interim_receipt_file:
            folder.interim_receipt_file.unlink(missing_ok=True)

    def _receipt(self, job: _CometRun) -> Receipt:
        experiments = tuple(
            ExperimentEntry(
                key=each.key,
                url=self.server.url_of(each.key, each.there),
                workspace=each.there.workspace,
                project=each.there.project,
                values=each.disk.values,
                metrics=len(each.disk.metrics),
                sampled={name: len(each.there.metrics[name]) for name in sorted(each.disk.sampled)},
                parameters=len(each.disk.parameters),
                others=len(each.disk.others),
                files=len(each.disk.assets),
                not_compared=(*not_compared(each.disk), "the content of files", "whether it ended with an error"),
            )
            for each in job.experiments
            if each.there
        )
        return Receipt(
            run=job.run.id,
            tracker="comet",
            url=experiments[-1].url,
            base_url=self.server.base_url,
            verified=datetime.now(UTC).isoformat(timespec="seconds"),
            segments=tuple(
                describe_log(name, path, job.unreadable.get(name))
                for name, path in sorted(archives_on_disk(str(job.outcome.folder.path)).items())
            ),
            experiments=experiments,
            unreadable=job.unreadable,
            code=code_of_attempts(job.outcome.folder),
            runferry=__version__,
        )


def _error_of(job: _CometRun) -> str | None:
    """Say what a run ended with, where it did not finish and is not to go on."""
    attempts = job.outcome.folder.attempts()
    last = attempts[-1] if attempts else AttemptRecord()
    if last.outcome not in {"failed", "killed", "lost"}:
        return None
    how = last.signal or (f"exit code {last.exit_code}" if last.exit_code is not None else "how is not known")
    return f"attempt {last.attempt} {last.outcome} ({how})"


def _why_nothing(outcome: Outcome, unreadable: dict[str, str]) -> str:
    if unreadable:
        name, why = next(iter(unreadable.items()))
        return f"nothing on disk that can be sent, expected an archive of Comet's: {name}: {why}"
    attempts = outcome.folder.attempts()
    if not attempts:
        return "nothing on disk, expected an archive of Comet's: the run has not been started"
    why = attempts[-1].message or f"the command never called comet_ml.start; see {outcome.folder.log_file}"
    return f"nothing on disk, expected an archive of Comet's: {why}"

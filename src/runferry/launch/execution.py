"""Execute one attempt: prepare the node, run the command, finish wandb-core and collect files."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.launch.code import VARIABLE as CODE_VARIABLE
from runferry.launch.code import UsedCode, use_code
from runferry.launch.collect import collect_files
from runferry.launch.command import Command, not_started
from runferry.launch.core_keeper import Keeper, TimeLimits
from runferry.launch.endings import ended_by_force, not_collected, reason_of_end, with_left_behind, without_rows
from runferry.launch.macros import Places, own_variables
from runferry.launch.multi_node import node_folder
from runferry.launch.node_files import Scratch, note, shown_while_written
from runferry.launch.preparation import Prepared, prepare
from runferry.launch.takeover import WRITING_SECONDS, FenceWatch
from runferry.launch.time_limit import JobClock, warning_of
from runferry.launch.watches import Watches
from runferry.runs.attempt import ATTEMPT_VARIABLE, Attempt
from runferry.runs.ending import Ending
from runferry.runs.folder import RunFolder
from runferry.runs.slurm import job_end
from runferry.system.env_modules import variables_after_loading
from runferry.system.processes import end_session
from runferry.trackers.registry import logs_to_wandb
from runferry.trackers.wandb.folders import bring_in, bring_in_earlier
from runferry.trackers.wandb.hook_files import with_hook
from runferry.trackers.wandb.job_runs import JobRuns

if TYPE_CHECKING:
    from runferry.launch.signals import SignalWatch
    from runferry.launch.stop_decision import StopDecision
    from runferry.runs.run_record import RunRecord
    from runferry.trackers.tracker import TrackerInJob
    from runferry.trackers.wandb.job_runs import Logged


#: Seconds in which what the command leaves behind may end by itself.
_LEFTOVER_SECONDS = 1.0


#: Seconds in which a signal that came to this process and to its listener's step is one.
_SAME_SIGNAL_SECONDS = 1.0
#: Seconds in which a signal that Slurm sent to every node may be passed on by the first node's launcher once more.
_SAME_SIGNAL_ON_NODES_SECONDS = 20.0

_KEEPER_DIED = (
    "the process that keeps wandb-core was killed, and wandb-core with it: what that had not written, and what was "
    "logged later (had the job enough memory?)"
)


def time_limits(run: RunRecord, tracker: TrackerInJob) -> TimeLimits:
    """Return the seconds to wait at the end of a run, by its record."""
    seconds = tracker.finish_seconds(run)
    return TimeLimits() if seconds is None else TimeLimits(finish_seconds=seconds)


@dataclass
class Execution:
    """Executes one attempt, from unpacking the environment to the end of wandb-core."""

    folder: RunFolder
    run_record: RunRecord
    tracker: TrackerInJob
    attempt: Attempt
    log: int
    scratch: Scratch
    limits: TimeLimits
    node: int | None = None
    """Number of the node, from 0, where this is the part of one of several."""

    def run(self, signals: SignalWatch, follow_from: int | None) -> tuple[Ending, bool]:
        """Run the attempt; return its ending, and whether all that it logged was written or is said to be missing."""
        workdir = Path(self.run_record.workdir)
        if not workdir.is_dir():
            message = f"{workdir}: found no such folder, expected the experiment's workdir, where the command is to run"
            raise LaunchError(message)
        several = self.node is None and self.run_record.nodes > 1
        code = use_code(self.run_record, self.folder, self.scratch.folder, self._note, unpack=not several)
        self.attempt.runs_code(code.record)
        self.run_record = code.run
        ending, written = self._run(Path(code.run.workdir), signals, follow_from, several=several)
        return (self._bring_back(code, ending) if code.snapshot else ending), written

    def _run(
        self, workdir: Path, signals: SignalWatch, follow_from: int | None, *, several: bool
    ) -> tuple[Ending, bool]:
        prepared: Prepared | None = None
        if several:
            # It starts this same on every node, there with the run's command.
            command = [sys.executable, "-m", "runferry", "launch-nodes", str(self.folder.path)]
            environment, core, followed = {**os.environ, ATTEMPT_VARIABLE: str(self.attempt.number)}, None, False
        else:
            prepared = self._prepare()
            command, environment = prepared.command, prepared.variables
            # In a container wandb starts its own wandb-core: the one out here is not of its version. Nor are there ids
            # from here: all that it begins is one W&B run, by WANDB_RUN_ID.
            followed = not prepared.contained and logs_to_wandb(self.run_record)
            core = None if prepared.contained else self.tracker.core(command, environment.get("PATH", os.defpath))
            self.attempt.runs_in(prepared.environment, core.version if core else None)
        # From here on there is a command to pass a signal on to, or will be in a moment.
        signals.preparing = False
        keeper = Keeper.start(
            core,
            environment,
            self.log,
            limits=self.limits,
            launcher_died=self._launcher_died,
            runs=self._wandb_runs if followed else None,
            workdir=workdir,
        )
        if keeper.warning:
            note(self.log, keeper.warning)
        command, environment, kept = self._as_tasks(prepared, command, _with_keeper(environment, keeper))
        watches = self._watches()
        exit_code = 1
        try:
            with shown_while_written(self.folder.log_file, follow_from):
                try:
                    finished = self._command(command, workdir, environment, kept).run(signals, keeper, watches)
                except (OSError, ValueError) as error:
                    ending = not_started(command, environment.get("PATH", os.defpath), error)
                else:
                    left = end_session(finished.session, _LEFTOVER_SECONDS, self.limits.grace_seconds)
                    self._note_used(kept)
                    ending = Ending.from_return_code(finished.return_code, finished.passed_on)
                    ending = replace(
                        ending, reason=reason_of_end(ending, watches), message=ended_by_force(finished, watches)
                    )
                    ending = with_left_behind(ending, left, self._note)
                    if watches.early and watches.early.stopped and not watches.fence.superseded:
                        # It has done what the sweep wants of it; its checkpoint and its rows are there.
                        ending = Ending(0, message=watches.early.stopped, pruned=True)
            exit_code = ending.status
        finally:
            written = self._finish(keeper, exit_code, watches)
        missing = keeper.logged.missing
        if keeper.died and followed and self.attempt.segments():
            missing.append(_KEEPER_DIED)
        self.attempt.logged(keeper.logged.rows, missing)
        if missing:
            ending = without_rows(ending, missing)
        # The rows first: before a time limit there may not be the time for all.
        if prepared and prepared.data and not watches.fence.superseded:
            ending = self._collect(prepared.data, ending)
        return ending, written or bool(missing)

    def _as_tasks(
        self, prepared: Prepared | None, command: list[str], environment: dict[str, str]
    ) -> tuple[list[str], dict[str, str], tuple[int, ...]]:
        """Have what starts the tasks of a run of several run in place of its command; else return what was given."""
        if prepared is None or self.run_record.tasks == 1:
            return command, environment, ()
        # Only here: other runs need it not.
        from runferry.launch.tasks import tasks_call

        command, told = tasks_call(self.folder, self.run_record, prepared, environment)
        return command, dict(os.environ), (told,)

    def _note_used(self, told: tuple[int, ...]) -> None:
        if told:
            from runferry.launch.tasks import used_by_tasks

            self.attempt.used_elsewhere = used_by_tasks(told[0])

    def _command(
        self, command: list[str], workdir: Path, environment: dict[str, str], keep: tuple[int, ...]
    ) -> Command:
        twice = _SAME_SIGNAL_SECONDS if self.node is None else _SAME_SIGNAL_ON_NODES_SECONDS
        if not os.environ.get("SLURM_JOB_ID"):
            # Nobody but the user sends it then, and twice is meant twice.
            twice = 0.0
        return Command(command, workdir, environment, self.log, twice, keep)

    def _watches(self) -> Watches:
        clock = JobClock(warning_of(self.run_record), job_end())
        # The warning comes from the first node's launcher, as a signal; what is left to each is the end by force.
        clock.warned = self.node is not None
        early: StopDecision | None = None
        if self.node is None and self.run_record.early_terminate is not None:
            # Only here: other runs need neither it nor protobuf.
            from runferry.launch.early_stop import EarlyStop

            early = EarlyStop(self.folder, self.run_record.early_terminate, self._note)
        elif self.node is None and self.run_record.pruner is not None:
            from runferry.launch.pruning import Pruning

            early = Pruning(self.folder, self.run_record.pruner, self._note)
        return Watches(clock, FenceWatch(self.attempt), job_end, self._note, early)

    def _finish(self, keeper: Keeper, exit_code: int, watches: Watches) -> bool:
        if watches.fence.superseded:
            # The other attempt, which waits, goes on after these rows; what it finds no more time for stays unwritten.
            return keeper.finish(exit_code, WRITING_SECONDS)
        seconds = self.limits.finish_seconds
        if watches.clock.warned:
            seconds = max(1.0, min(seconds, watches.clock.seconds_left - 1))
        written = keeper.finish(exit_code, seconds)
        self._bring_in()
        return written

    def _bring_in(self) -> None:
        # Of several nodes nobody could say whose segment lies in the folder that they share.
        if self.run_record.nodes == 1:
            workdir, run = Path(self.run_record.workdir), self.run_record.id
            bring_in(self.folder, workdir, run, self._note)

    def _wandb_runs(self) -> JobRuns:
        run = self.run_record.id
        if self.node:
            # The first node's bear the run's own id, and each node's lie in a folder of their own.
            place, run, own = RunFolder(node_folder(self.folder, self.node)), f"{run}-n{self.node}", False
        else:
            place, own = self.folder, True
        return JobRuns(place, run, self._note, own=own)

    def _prepare(self) -> Prepared:
        """Put the environment and the data onto the node."""
        if self.attempt.number > 1:
            # Of an attempt whose launcher was killed, before anybody asks at which step the run goes on.
            self._bring_in()
            bring_in_earlier(self.folder, self._note)
            self.attempt.counts_as_earlier()
        return prepare(self.run_record, self.folder.path, self._variables(), self.scratch.folder, self._note)

    def _variables(self) -> dict[str, str]:
        """Give the command what it inherits, what it must know of its run, and what the tracker wants of both."""
        run, path = self.run_record, self.folder.path.absolute()
        modules = [*run.modules, *self.tracker.modules(run)]
        inherited = variables_after_loading(list(dict.fromkeys(modules)), "modules")
        inherited.pop("PYTHONHOME", None)
        inherited.pop(CODE_VARIABLE, None)
        # Before the tracker's: what it needs of PYTHONPATH and the like it adds to the user's.
        inherited |= own_variables(run, path, inherited, Places.of_run(run, self.scratch.folder))
        # What the first node's tracker writes is the run; what another's does is kept beside it.
        place = node_folder(self.folder, self.node).resolve() if self.node else path
        return {
            **self.tracker.job_variables(self.folder, run, self.attempt.number, place, inherited),
            "PYTHONUNBUFFERED": "1",  # so that what was printed before a kill is in the log
            "RUNFERRY_CHECKPOINTS": str(path / self.folder.checkpoints_folder.name),
            "RUNFERRY_RUN": run.id,
            "RUNFERRY_RUN_FOLDER": str(path),
            ATTEMPT_VARIABLE: str(self.attempt.number),
        }

    def _collect(self, data: Path, ending: Ending) -> Ending:
        """Bring back what the command left on the node, whatever its ending; then remove the run's own folder there."""
        patterns = self.run_record.collect
        problems = collect_files(patterns, data, self._collected, self._note)
        if not problems:
            shutil.rmtree(data, ignore_errors=True)
        return not_collected(ending, problems)

    def _bring_back(self, code: UsedCode, ending: Ending) -> Ending:
        """Bring back what the command wrote into its snapshot, as it would have stayed in the user's own folder."""
        return not_collected(ending, code.bring_back(self._collected, self._note))

    def _note(self, text: str) -> None:
        note(self.log, text)

    @property
    def _collected(self) -> Path:
        # Each node beside its other files: two nodes may write files of the same name.
        return node_folder(self.folder, self.node) / "collected" if self.node else self.folder.collected_folder

    def _launcher_died(self, logged: Logged) -> None:
        self.attempt.logged(logged.rows, logged.missing)
        self.attempt.end(Ending(None, 9, message="the launcher was killed (SIGKILL), and the command was ended"))
        if self.scratch.temporary:
            shutil.rmtree(self.scratch.folder, ignore_errors=True)


def _with_keeper(environment: dict[str, str], keeper: Keeper) -> dict[str, str]:
    """Return the command's variables, with which its wandb finds the keeper."""
    service = {"WANDB_SERVICE": keeper.token} if keeper.token else {}
    return with_hook({**environment, **service}, keeper.python) if keeper.python else environment

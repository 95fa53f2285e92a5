"""What becomes of jobs: asked of Slurm seldom, and where no answer is not an end."""

from __future__ import annotations

from dataclasses import dataclass, field

from runferry.runs import slurm

# The next look shows the job as pending again where Slurm has requeued it.
# And a job that was submitted a moment ago may not be known yet.
_LOOK_AGAIN = frozenset({"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", ""})


@dataclass
class JobStates:
    """The states of jobs at the last look."""

    # Job -> its state at the look before.
    _seen: dict[str, str] = field(default_factory=dict[str, str])

    def ask(self, jobs: list[str]) -> dict[str, str] | None:
        """Ask Slurm for the states of jobs; one that it does not know is "", None means that it does not answer."""
        queued = slurm.queued_jobs()
        if queued is None:
            return None
        states = {job.id: job.state for job in queued}
        ended = [job for job in jobs if states.get(job) not in slurm.ACTIVE]
        accounted = slurm.ended_jobs(ended) or {}
        # The queue's word first: accounting may be behind. But it alone knows that a step ran out of memory.
        for job in ended:
            if job not in states or accounted.get(job) == "OUT_OF_MEMORY":
                states[job] = accounted.get(job, "")
        return {job: states.get(job, "") for job in jobs}

    def has_ended(self, job: str, state: str) -> bool:
        """Return whether a job has ended; where it may only seem so, when it does at two looks one after the other."""
        before, self._seen[job] = self._seen.get(job), state
        if state in slurm.ACTIVE:
            return False
        return before == state or state not in _LOOK_AGAIN

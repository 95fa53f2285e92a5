"""Find the reason why a command failed in the end of its log."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.runs.log import last_lines, read_tail
from runferry.runs.reasons import PROBABLY_OUT_OF_MEMORY

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.runs.ending import Ending


@dataclass(frozen=True)
class Hint:
    """Patterns of a log, and the advice for the user where all of them are found.

    Attributes
    ----------
    patterns
        Regular expressions, all of which must be found in the end of the log.
    text
        May name a group of the first pattern, as `{name}`, and `{wandb}`, wandb's version.
    """

    patterns: tuple[str, ...]
    text: str


#: The first that fits is taken.
HINTS = (
    Hint(
        # The hook's line.
        (r'runferry: the script says mode="(?P<mode>\w+)", and the job is offline',),
        'the script says mode="{mode}" in wandb.init, which asks W&B\'s server, and this job is offline (wandb.mode in '
        "config.yaml): take mode= out of the script",
    ),
    Hint(
        (r"\bstart_method\b", r"extra_forbidden"),
        # Removed in 0.29.0; the error is pydantic's.
        "wandb {wandb} no longer has the setting start_method (removed in 0.29): remove "
        "settings=wandb.Settings(start_method=...) from the script, or pin wandb<0.29 in the requirements",
    ),
    Hint(
        (r"(?m)^(?:ModuleNotFoundError|ImportError|\S*python[\d.]*): No module named '?(?P<module>\w+)",),
        "the environment has no module {module}: add the package that has it to the requirements file "
        "(environment.requirements in config.yaml), or, if it is your own, start the command in its folder (workdir)",
    ),
    Hint(
        # Before those of a key and of a server, which it looks for in vain.
        (
            r"wandb/(?:sdk/wandb_sweep|wandb_agent|agents/pyagent)\.py\", line",
            r"(?:UsageError|AuthenticationError|CommError): ",
        ),
        "wandb.sweep and wandb.agent ask W&B's server, which this job does not reach: give the sweep's definition to "
        "runferry (experiments.<name>.sweep) and let the command train once, with the parameters in wandb.config",
    ),
    Hint(
        (
            (
                r"CommError: (?:Run initialization has timed out|Timed out while retrying|.*upsertBucket)"
                r"|CommError: Failed to get resume status"
                r"|giving up after \d+ attempt"
            ),
        ),
        "W&B's server could not be reached from this node: wandb.mode: offline in config.yaml, with no mode= and no "
        "WANDB_MODE in the script, works without it",
    ),
    Hint(
        (r"(?i)api_key not configured|No API key configured",),
        "there is no W&B key in this job, which an online run needs: run wandb login on the login node (~/.netrc) or "
        "set WANDB_API_KEY before Snakemake is started; wandb.mode: offline in config.yaml, with no mode= and no "
        "WANDB_MODE in the script, needs none here",
    ),
    Hint(
        (r"Comet\.ml requires an API key",),
        # Where Comet is asked for an online experiment: no variable makes `Experiment()` an offline one.
        "comet_ml.Experiment() is online, for which a job has no key: call comet_ml.start() "
        "instead, or comet_ml.OfflineExperiment()",
    ),
    Hint(
        (r"CUDA out of memory|CUDA error: out of memory|RESOURCE_EXHAUSTED: Out of memory",),
        "the GPU's memory was not enough: use a smaller batch, or ask for a GPU with more memory",
    ),
    Hint(
        (r"Disk quota exceeded",),
        "the disk quota is used up: free some space or files, and look at the quota of the results' filesystem",
    ),
    Hint(
        (r"No space left on device",),
        "a disk is full: free some space, or see whether the command writes much to a temporary folder",
    ),
)


def find_hint(log: Path, begin: int, ending: Ending, wandb_version: str | None) -> str | None:
    """Return one line that says why a command failed and how to fix it.

    Parameters
    ----------
    log
        What the command printed.
    begin
        Where this attempt's part of it begins, in bytes.
    ending
        How it ended.
    wandb_version
        Of the training environment.

    Returns
    -------
    str or None
        A hint of the table; else, for a SIGKILL, that memory is the likely reason; else the last line that the
        command printed; None when it printed nothing.
    """
    tail = read_tail(log, begin)
    for hint in HINTS:
        found = [re.search(pattern, tail) for pattern in hint.patterns]
        if all(found) and found[0]:
            return hint.text.format(wandb=wandb_version or "here", **found[0].groupdict())
    # A shell gives 128 + 9 for a child of its own that was killed.
    if ending.signal == signal.SIGKILL or ending.exit_code == 128 + signal.SIGKILL:
        return PROBABLY_OUT_OF_MEMORY
    return _last_line(tail)


def _last_line(tail: str) -> str | None:
    # pydantic's last line is an address; the line before it is the reason.
    lines = [line for line in last_lines(tail, 3) if "errors.pydantic.dev" not in line]
    return lines[-1].strip() if lines else None

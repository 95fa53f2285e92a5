"""Define the errors that a user sees as one line; any other exception is a defect of runferry."""

from __future__ import annotations


class RunferryError(Exception):
    """An error that the user can fix; its text is one line: what was found, what was expected, what to do.

    What to type next is added where it is shown (`runferry.system.messages`), unless the text
    itself says it as `; run: ...` or `, run: ...`.

    Attributes
    ----------
    exit_code : int
        What the command line ends with: 2 for a usage or config error, 1 for work that failed.
    before_next : str
        The words before the next command.
    next_command : str or None
        The command; None for the same again.
    """

    exit_code = 1
    before_next = "fix it, then run"
    next_command: str | None = None


class ConfigError(RunferryError):
    """An impossible request in the config, a sweep definition or the command line."""

    exit_code = 2


class PackingError(RunferryError):
    """A failure to build, pack or unpack an environment."""


class LaunchError(RunferryError):
    """A failure to start an attempt: the run folder, its environment or its disk is not as it must be."""


class AnotherAttemptError(LaunchError):
    """A conflict with another attempt that is at work on the run: this one has to leave the run alone."""

    exit_code = 75  # sysexits.h: try again later
    before_next = "to see how it goes on, run"
    next_command = "runferry status"


class SegmentError(RunferryError):
    """A segment whose file is not a W&B transaction log, or cannot be read."""


class ServerError(RunferryError):
    """A W&B server that could not be asked, or refused to answer."""

    before_next = "nothing is lost; to try again, run"


class NotVerifiedError(RunferryError):
    """A server that does not hold what the disk holds, so that no receipt was written."""

    before_next = "afterwards run"


class AccountError(ConfigError):
    """A missing Slurm account, or one that is not the user's."""

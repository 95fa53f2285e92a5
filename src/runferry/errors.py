"""The errors that a user sees as one line; everything else is a defect of runferry's."""

from __future__ import annotations


class RunferryError(Exception):
    """Something the user can mend. Its text is one line: what was found, what was expected, what to do.

    What to type next is added where it is shown (`runferry.system.messages`), unless the text
    itself says it as `type: ...`.

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
    before_next = "mend it, then type"
    next_command: str | None = None


class ConfigError(RunferryError):
    """The config, a sweep definition or a command line says something that cannot be done."""

    exit_code = 2


class PackingError(RunferryError):
    """An environment could not be built, packed or unpacked."""


class LaunchError(RunferryError):
    """An attempt could not be started: the run folder, its environment or its disk is not as it must be."""


class AnotherAttemptError(LaunchError):
    """Another attempt is at work on the run, and this one has to leave it alone."""

    exit_code = 75  # sysexits.h: try again later
    before_next = "to see how it goes on, type"
    next_command = "runferry status"


class SegmentError(RunferryError):
    """A segment's file is not a W&B transaction log, or cannot be read."""


class ServerError(RunferryError):
    """The W&B server could not be asked, or refused to answer."""

    before_next = "nothing is lost; to try again, type"


class NotVerifiedError(RunferryError):
    """The server does not hold what the disk holds, so that no receipt was written."""

    before_next = "afterwards type"


class AccountError(ConfigError):
    """There is no Slurm account to submit with, or it is none of the user's."""

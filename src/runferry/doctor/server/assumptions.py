"""List what `runferry sync` assumes of W&B's server, as docs/how-it-works.md and the stand-in's `turn` name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """One assumption.

    Attributes
    ----------
    id : str
        Its short name.
    says : str
        What is assumed.
    otherwise : str
        What follows where it is not so.
    relied_on : bool
        Whether sync would go wrong, or verify nothing, without it.
    """

    id: str
    says: str
    otherwise: str
    relied_on: bool = False


LONGEST_LAG = 5.0
"""Seconds: between two questions of sync whose answers must be the same (W&B's engineers speak of 2 to 4)."""
PATIENCE = 20.0
"""Seconds that sync waits for what it sent."""
SLOW_SECONDS = 5.0
"""For one question; after a longer one sync asks for fewer runs at once."""
NAMES = 250
"""Of runs, in one question of sync."""
ROWS_PER_REQUEST = 1000
"""Of a history, as sync sends them and reads them back."""
DOTS = 4
"""Levels of a summary's nesting that are kept, by W&B's documentation."""

ASSUMPTIONS = (
    Assumption(
        "lag",
        f"counts, last step and summary show what was sent within {LONGEST_LAG:g} s",
        "a sync within that time of another one may send rows again; give `--settle` twice what was measured",
        relied_on=True,
    ),
    Assumption("rows", "the rows read back are those that were sent, each once", "no receipt is written", True),
    Assumption(
        "rows_lag",
        "rows can be read back when they are counted",
        "rows that are there look as if not, and are sent again in place, which does no harm but takes time",
    ),
    Assumption(
        "segments",
        "a second segment that is sent when the first is counted goes on after it",
        "runs that were requeued get no receipt",
        relied_on=True,
    ),
    Assumption(
        "resent",
        "a line sent again at its offset replaces the one there, and the lines after it stay",
        "rows that differ on the server cannot be sent again in place; the run gets no receipt",
        relied_on=True,
    ),
    Assumption(
        "gaps",
        "a line sent beyond the end of the history is put at its end",
        "rows of another writer may leave a hole; sync reads back and compares what it sends in place",
    ),
    Assumption(
        "history_end",
        "history(minStep, maxStep) leaves maxStep out",
        "rows that are read back in parts are there twice, and the run gets no receipt",
        relied_on=True,
    ),
    Assumption(
        "longest_history",
        f"{ROWS_PER_REQUEST} rows of a history are read back in one question, not sampled",
        "rows cannot be compared, and a run with more gets no receipt",
        relied_on=True,
    ),
    Assumption("most_names", f"one question may have {NAMES} names", "nothing can be synced in batches", True),
    Assumption("longest_page", "one page has as many runs as were asked for", "runs on it look as if not there", True),
    Assumption(
        "heavy_run_seconds",
        f"two runs with config, summary, history keys and files take less than {SLOW_SECONDS:g} s",
        "sync asks for fewer at once and takes longer",
    ),
    Assumption(
        "largest_request",
        "a line as long as the longest that wandb's client sends is taken",
        "a run with such a row gets no receipt, and its line says why",
    ),
    Assumption(
        "summary_nan",
        "NaN and infinities of a summary come back, as numbers or as text",
        "such values are compared as the server keeps them",
    ),
    Assumption(
        "integers",
        "integers above 2^53 come back exactly, in rows, summary and config",
        "they are compared as a double holds them",
    ),
    Assumption(
        "summary_dots",
        f"a summary's values are kept to {DOTS} dots of nesting",
        "a run with deeper values gets no receipt, and its line says which",
    ),
    Assumption(
        "states",
        "a run's state follows the last request, also after its end",
        "a run that goes on after its end, or that crashed, is shown otherwise",
    ),
    Assumption(
        "files_lag",
        f"files that were sent are listed within {PATIENCE:g} s, with their size",
        "sync says that files are missing until the server lists them; the next one verifies",
    ),
    Assumption(
        "redirects",
        "questions and rows are answered at this address, not by a redirect",
        "nothing arrives: none is followed, since the key would go elsewhere; set WANDB_BASE_URL to the right address",
        relied_on=True,
    ),
    Assumption(
        "limit",
        "429 comes with the seconds to wait, in RateLimit-Reset or Retry-After",
        "sync waits 1, 2 and 4 s, then says so",
    ),
)

BY_ID = {each.id: each for each in ASSUMPTIONS}

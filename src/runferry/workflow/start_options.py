"""Read what Snakemake was asked for: a dry run, a picture, some of the jobs only."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DRY_RUN = re.compile(r"--dry-?run|--dry|-[pqFkftR]*n[pqFkft]*")
_NO_JOBS = re.compile(
    r"-[lSD]|--(dag|rulegraph|filegraph|d3dag|summary|detailed-summary|list.*|lint|unlock|report|archive|containerize|"
    r"cleanup-metadata|delete-.*|export-cwl|print-compilation|generate-unit-tests)(=.*)?"
)
_LOGGER = "snakemake.logging"
_EVENT = "run_info"
_NOTHING = "Nothing to be done"


def wants_dry_run(words: Sequence[str]) -> bool:
    """Return whether Snakemake was started with `-n`, alone or among other short options.

    Snakemake itself knows it only once the Snakefile is read (9.17 to 9.27).

    >>> wants_dry_run(["--profile", "profiles/narval", "-np"]), wants_dry_run(["--nolock"])
    (True, False)
    """
    return any(_DRY_RUN.fullmatch(word) for word in words)


def chooses_jobs(words: Sequence[str]) -> bool:
    """Return whether Snakemake was started to run jobs, or to say which; not for a picture or a list of rules."""
    return not any(_NO_JOBS.fullmatch(word) for word in words)


def let_packs_follow(workflow: Any) -> None:
    """Have what `--set-resources train:...` and `--set-threads train=...` say count for packs and rounds as well.

    Called before the first rule of this workflow.

    Parameters
    ----------
    workflow
        Snakemake's (9.17 to 9.27): a workflow that uses this one may have renamed the rules.
    """
    settings = workflow.resource_settings
    train, *others = map(workflow.modifier.modify_rulename, ("train", "train_pack", "train_in_round"))
    for given in (settings._parsed_overwrite_resources, settings._parsed_overwrite_threads):
        for name in others if train in given else ():
            given.setdefault(name, given[train])


def when_jobs_are_chosen(workflow: Any, then: Callable[[frozenset[str]], None]) -> None:
    """Call `then` with the outputs of all jobs that Snakemake will run, once it knows them and before it runs any.

    Targets, `--forcerun`, `--until` and the like decide about that, which it reads after the Snakefile. It then logs
    how many jobs there are (9.17 to 9.27), which is what is waited for here.

    Parameters
    ----------
    workflow
        Snakemake's.
    then
        What is to be done.
    """
    logging.getLogger(_LOGGER).addFilter(_FirstCount(workflow, then))


class _FirstCount(logging.Filter):
    """Waits for Snakemake's first count of jobs; lets everything pass."""

    def __init__(self, workflow: Any, then: Callable[[frozenset[str]], None]) -> None:
        super().__init__()
        self._workflow = workflow
        self._then: Callable[[frozenset[str]], None] | None = then

    def filter(self, record: logging.LogRecord) -> bool:
        then = self._then
        counted = str(getattr(record, "event", None)) == _EVENT or str(record.msg).startswith(_NOTHING)
        if then and counted:
            self._then = None
            jobs = self._workflow.dag.needrun_jobs()
            then(frozenset(str(output) for job in jobs for output in job.output))
        return True

"""What the stand-in does wrong on purpose, for tests.

A rule is a JSON object. It says which requests it is for, and what happens to them:

=============  ======================================================================================================
``match``      the kind of request: "graphql:UpsertBucket" (any operation name), "graphql", "file_stream", "storage"
               (contents put and fetched), "files" (a run's files fetched by name), "telemetry", "page", or "*"
``run``        only requests that name this run (its id); any, when it is missing
``containing`` only requests whose body contains this text: "wandb-history.jsonl" for a batch of history rows, since a
               client also sends file stream requests without any
``after``      let so many matching requests pass first (0)
``count``      how many requests it is for; null, which is the default, means for ever
=============  ======================================================================================================

and one of these:

=============  ======================================================================================================
``status``     answer with this HTTP status, with ``body`` (JSON or text) and ``headers`` (such as Retry-After); for
               301, 302, 303, 307 and 308 with ``location``, by default a page that answers 200 with HTML, as a captive
               portal does; "{path}" in it is the path that was asked for, so that it can lead to another host
``limit``      {"requests": 5, "seconds": 3}: let so many requests pass in a window of so many seconds, which begins
               with the first, and answer the others with 429, RateLimit-Remaining and RateLimit-Reset, the seconds left
               (read: the documentation and wandb-core's ratelimitheaders.go)
``html``       true: answer 200 with an HTML page
``drop``       drop the connection: "before" anything is done, "reading": when the first part of the body is read (all
               of it where a rule looks at it), "answering": after the request was done, in the middle of the answer
``hang``       true: read the request and never answer; the connection is dropped when the rules change
``slow``       seconds to wait first; then the next rule, or the usual answer
``lose``       true: answer as if all had been stored and store nothing
=============  ======================================================================================================

and these, for history rows of file stream requests, which are answered as usual. The value is the share of rows, from 0
to 1 (read: issue 10886, users miss 0 to 0.5 %); ``seed`` chooses other rows:

=================  ==================================================================================================
``lose_rows``      they are not kept, the others stay where they are; the count shows it
``alter_rows``     their first metric is kept as one more than it was
``double_rows``    their neighbour is kept in their place: one is lost and one is there twice, the count is right
``second_writer``  {"rows": 2}: after each matching request somebody else appends so many rows, or writes them at
                   "offset" (read: issue 12269)
=================  ==================================================================================================

The first rule that matches counts; only of slow ones and of those for rows, all do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.problems import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

ROW_ACTIONS = ("lose_rows", "alter_rows", "double_rows", "second_writer")
ACTIONS = ("status", "limit", "html", "drop", "hang", "slow", "lose", *ROW_ACTIONS)
PASSING = ("slow", *ROW_ACTIONS)
"""Actions after which other rules are looked at."""
REDIRECTS = (301, 302, 303, 307, 308)
DROPS = ("before", "reading", "answering")


class RuleError(RefusedError):
    """A rule that cannot be understood; its text says what is wrong with it."""


@dataclass
class Rule:
    """One rule, and how often it has been used."""

    action: str
    value: Any
    match: str = "*"
    run: str | None = None
    containing: str | None = None
    after: int = 0
    count: int | None = None
    body: Any = None
    headers: dict[str, str] | None = None
    location: str = "/standin/captive-portal"
    seed: int = 0
    seen: int = 0
    """Requests that it matched."""
    used: int = 0
    """Requests that it did something to."""
    window_ends: float = 0.0
    """When a limit's window ends, on the monotonic clock."""
    window_left: int = 0
    """Requests that a limit still lets pass in its window."""

    def matches(self, kind: str, run: str | None, body: bytes) -> bool:
        """Say whether it is for a request of this kind that names this run and has this body."""
        whose = self.match in ("*", kind, kind.partition(":")[0]) and self.run in (None, run)
        return whose and (self.containing is None or self.containing.encode() in body)

    def take(self) -> bool:
        """Count a request that it matches, and say whether it acts on it."""
        self.seen += 1
        acts = self.seen > self.after and (self.count is None or self.used < self.count)
        if acts and self.action == "limit":
            acts = self._is_over_limit()
        self.used += acts
        return acts

    def seconds_left(self) -> float:
        """Return how long a limit's window goes on."""
        return max(0.0, self.window_ends - time.monotonic())

    def _is_over_limit(self) -> bool:
        if time.monotonic() >= self.window_ends:
            self.window_ends = time.monotonic() + self.value["seconds"]
            self.window_left = self.value["requests"]
        self.window_left -= 1
        return self.window_left < 0

    def shown(self) -> dict[str, Any]:
        """Return the rule as JSON, with how often it was used."""
        return {
            "match": self.match,
            "run": self.run,
            "containing": self.containing,
            "after": self.after,
            "count": self.count,
            self.action: self.value,
            "seen": self.seen,
            "used": self.used,
        }


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def replace(self, rules: Any) -> None:
        """Put other rules in place of all there are.

        Parameters
        ----------
        rules
            A rule or a list of them, as parsed from JSON.

        Raises
        ------
        RuleError
            When one cannot be understood; the rules stay as they were then.
        """
        wanted = cast("list[Any]", rules) if isinstance(rules, list) else [rules]
        self.rules = [parse_rule(rule) for rule in wanted]

    @property
    def need_bodies(self) -> bool:
        """Whether a rule looks at the bodies of requests."""
        return any(rule.containing is not None for rule in self.rules)

    def actions_for(self, kind: str, run: str | None, body: bytes) -> list[Rule]:
        """Return what is to be done to a request, in order: any number that let it pass, then at most one other."""
        actions: list[Rule] = []
        for rule in self.rules:
            if rule.matches(kind, run, body) and rule.take():
                actions.append(rule)
                if rule.action not in PASSING:
                    break
        return actions


def parse_rule(rule: Any) -> Rule:
    """Return the rule that a JSON object says.

    Raises
    ------
    RuleError
        When a key is unknown, an action missing or doubled, or a value impossible.
    """
    if not isinstance(rule, dict):
        message = f"a rule is a JSON object, found {rule!r}"
        raise RuleError(message)
    fields = cast("dict[str, Any]", rule)
    known = {"match", "run", "containing", "after", "count", "body", "headers", "location", "seed", *ACTIONS}
    if unknown := sorted(fields.keys() - known):
        message = f"a rule has no {unknown[0]!r}; it has {', '.join(sorted(known))}"
        raise RuleError(message)
    actions = [action for action in ACTIONS if fields.get(action)]
    if len(actions) != 1:
        message = f"a rule has one of {', '.join(ACTIONS)}; found {', '.join(actions) or 'none'}"
        raise RuleError(message)
    (action,) = actions
    value = fields[action]
    if action in _POSSIBLE and not _POSSIBLE[action](value):
        message = f"{action}: {value!r} is not possible; see the documentation of runferry_standin.faults"
        raise RuleError(message)
    return Rule(action, value, **{key: each for key, each in fields.items() if key not in ACTIONS})


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and 200 <= value <= 599


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value <= 1


def _is_limit(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    return (
        fields.keys() == {"requests", "seconds"} and _is_count(fields["requests"]) and _is_positive(fields["seconds"])
    )


def _is_writer(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    return fields.keys() <= {"rows", "offset"} and all(_is_count(each) for each in fields.values())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


_POSSIBLE: dict[str, Callable[[Any], bool]] = {
    "status": _is_status,
    "drop": lambda value: value in DROPS,
    "slow": _is_positive,
    "limit": _is_limit,
    "lose_rows": _is_share,
    "alter_rows": _is_share,
    "double_rows": _is_share,
    "second_writer": _is_writer,
}

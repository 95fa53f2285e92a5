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
``status``     answer with this HTTP status, with ``body`` (JSON or text) and ``headers`` (such as Retry-After); for 301
               and 302 with ``location``, by default a page that answers 200 with HTML, as a captive portal does
``html``       true: answer 200 with an HTML page
``drop``       drop the connection: "before" anything is done, "reading": when the first part of the body is read (all
               of it where a rule looks at it), "answering": after the request was done, in the middle of the answer
``hang``       true: read the request and never answer; the connection is dropped when the rules change
``slow``       seconds to wait first; then the next rule, or the usual answer
``lose``       true: answer as if all had been stored and store nothing
=============  ======================================================================================================

The first rule that matches counts; only of slow ones, all do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.problems import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONS = ("status", "html", "drop", "hang", "slow", "lose")
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
    seen: int = 0
    """Requests that it matched."""
    used: int = 0
    """Requests that it did something to."""

    def matches(self, kind: str, run: str | None, body: bytes) -> bool:
        """Say whether it is for a request of this kind that names this run and has this body."""
        whose = self.match in ("*", kind, kind.partition(":")[0]) and self.run in (None, run)
        return whose and (self.containing is None or self.containing.encode() in body)

    def take(self) -> bool:
        """Count a request that it matches, and say whether it acts on it."""
        self.seen += 1
        acts = self.seen > self.after and (self.count is None or self.used < self.count)
        self.used += acts
        return acts

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
        """Return what is to be done to a request, in order: any number of slow rules, then at most one other."""
        actions: list[Rule] = []
        for rule in self.rules:
            if rule.matches(kind, run, body) and rule.take():
                actions.append(rule)
                if rule.action != "slow":
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
    known = {"match", "run", "containing", "after", "count", "body", "headers", "location", *ACTIONS}
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


_POSSIBLE: dict[str, Callable[[Any], bool]] = {
    "status": _is_status,
    "drop": lambda value: value in DROPS,
    "slow": _is_positive,
}

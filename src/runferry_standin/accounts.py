"""Who may ask: keys and the users that they belong to, each with an entity and teams of their own."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry_standin.runs import DEMO_ENTITY
from runferry_standin.store import identifier

if TYPE_CHECKING:
    from runferry_standin.store import Record


@dataclass(frozen=True)
class Account:
    """A user and the teams of theirs.

    Parameters
    ----------
    number
        Makes the id that clients see.
    name
        The user's name, which is the name of their entity.
    teams
        Names of entities that are teams of theirs.
    """

    number: int
    name: str
    teams: tuple[str, ...] = ()

    @property
    def user(self) -> Record:
        """Return the schema's User."""
        return {
            "id": identifier("User", self.number),
            "name": self.name,
            "username": self.name,
            "email": f"{self.name}@localhost",
            "admin": False,
            "flags": "{}",
            "entity": self.name,
            "api_keys": {"edges": []},
            # A user's own entity is among their teams (read: the client's `Api.default_entity` and its tests).
            "teams": {"edges": [{"node": entity(name, is_team=name != self.name)} for name in self._entities]},
            "organizations": [],
        }

    @property
    def _entities(self) -> tuple[str, ...]:
        return (self.name, *self.teams)


DEMO = Account(1, DEMO_ENTITY)
"""The one user that every stand-in has, with its own key."""


@dataclass
class Accounts:
    """The users of a stand-in by key. In memory only: a stand-in that is started again knows the first one."""

    key: str
    by_key: dict[str, Account] = field(default_factory=dict[str, Account])

    def __post_init__(self) -> None:
        self.by_key[self.key] = DEMO

    def put(self, key: str, name: str, teams: list[str]) -> Account:
        """Add a user with a key, or change the one that the key belongs to."""
        known = self.by_key.get(key)
        account = Account(known.number if known else len(self.by_key) + 1, name, tuple(teams))
        self.by_key[key] = account
        return account

    def of_key(self, key: str) -> Account | None:
        """Return the user whom a key belongs to, or None."""
        return next(
            (each for own, each in self.by_key.items() if hmac.compare_digest(own.encode(), key.encode())), None
        )

    def of_name(self, name: str) -> Account | None:
        """Return the user of that name, or None."""
        return next((account for account in self.by_key.values() if account.name == name), None)

    def entity(self, name: str) -> Record:
        """Return an entity; every name is one, since the stand-in refuses none."""
        return entity(name, is_team=any(name in account.teams for account in self.by_key.values()))


def entity(name: str, *, is_team: bool) -> Record:
    """Return an entity in the form of the schema."""
    kind = "team" if is_team else "user"
    return {"id": identifier("Entity", name), "name": name, "is_team": is_team, "entity_type": kind}

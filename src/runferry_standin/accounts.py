"""Who may ask: keys and the users that they belong to, each with an entity and teams of their own."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runferry_standin.runs import DEMO_ENTITY
from runferry_standin.store import identifier

if TYPE_CHECKING:
    from runferry_standin.store import Record

SHOWN_OF_A_KEY = 12
"""Characters."""


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
    key_name
        What their key is shown as.
    """

    number: int
    name: str
    teams: tuple[str, ...] = ()
    key_name: str = ""

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
            # A key's name is its beginning (read: the client's tests).
            "api_keys": {"edges": [{"node": {"id": identifier("ApiKey", self.number), "name": self.key_name}}]},
            # A user's own entity is among their teams (read: the client's `Api.default_entity` and its tests).
            "teams": {"edges": [{"node": entity(name, is_team=name != self.name)} for name in self._entities]},
            "organizations": [],
        }

    @property
    def member(self) -> Record:
        """Return the schema's Member of an entity."""
        own = {key: self.user[key] for key in ("id", "name", "username", "email", "admin")}
        return own | {"pending": False, "account_type": "USER"}

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
        self.by_key[self.key] = replace(DEMO, key_name=self.key[:SHOWN_OF_A_KEY])

    def put(self, key: str, name: str, teams: list[str]) -> Account:
        """Add a user with a key, or change the one that the key belongs to."""
        known = self.by_key.get(key)
        account = Account(known.number if known else len(self.by_key) + 1, name, tuple(teams), key[:SHOWN_OF_A_KEY])
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
        accounts = self.by_key.values()
        members = [account for account in accounts if name in (account.name, *account.teams)]
        is_team = any(name in account.teams for account in accounts)
        return entity(name, is_team=is_team) | {"members": [account.member for account in members]}


def entity(name: str, *, is_team: bool) -> Record:
    """Return an entity in the form of the schema."""
    kind = "team" if is_team else "user"
    own = {"id": identifier("Entity", name), "name": name, "is_team": is_team, "entity_type": kind}
    # Nothing of it is known here; the client takes no null for them (measured: 0.31).
    flags = dict.fromkeys(
        ("available", "read_only", "read_only_admin", "private_only", "code_saving_enabled", "is_paid"), False
    )
    return own | flags | {"storage_bytes": 0, "default_access": "PRIVATE", "members": []}

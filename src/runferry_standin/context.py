"""What answers a field of a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry_standin.accounts import DEMO, Account, Accounts

if TYPE_CHECKING:
    from runferry_standin.behaviour import Behaviour
    from runferry_standin.lagging import Lagging
    from runferry_standin.links import Links
    from runferry_standin.store import Store


@dataclass(frozen=True)
class Context:
    """What a field's resolver works with.

    Parameters
    ----------
    behaviour, lagging
        How the server behaves, and what it says of runs when it is behind.
    accounts, account
        Who there is, and whose key it was: where a run goes whose client names no entity.
    """

    store: Store
    links: Links
    behaviour: Behaviour
    lagging: Lagging
    accounts: Accounts
    account: Account = DEMO

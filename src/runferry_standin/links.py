"""The addresses that the stand-in hands out, and the signatures in them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from runferry_standin.store import Record


@dataclass(frozen=True)
class Links:
    """Makes addresses as the client of this request can reach them.

    Parameters
    ----------
    base
        Of the server, without a slash at the end.
    storage
        Of the storage: the same, or the server on its second port.
    key
        The API key. Addresses of the storage are signed with it: as with the real server's bucket, whoever has the
        address needs no key, and nobody can make one up.
    """

    base: str
    storage: str
    key: str

    def stored(self, kind: str, number: int, run: str | None = None, name: str | None = None) -> str:
        """Where a file's content is put and fetched.

        Parameters
        ----------
        kind
            A key of `runferry_standin.storage.TABLES`.
        run
            The id of the run whose file it is: for the log of requests only.
        name
            What the address is to name, as a bucket's does: nothing looks at it here.
        """
        whose = "" if run is None else f"&run={quote(run)}"
        what = "" if name is None else f"&name={quote(name)}"
        return f"{self.storage}/storage/{kind}/{number}?signature={signature(self.key, kind, number)}{whose}{what}"

    def run_file(self, run: Record, name: str) -> str:
        """Where a run's file is fetched with the API key."""
        path = "/".join(quote(part) for part in (run["entity"], run["project_name"], run["name"], name))
        return f"{self.base}/files/{path}"


def signature(key: str, kind: str, number: int) -> str:
    """Return what proves that the server handed out the address of a stored file."""
    return hmac.new(key.encode(), f"{kind}/{number}".encode(), hashlib.sha256).hexdigest()[:32]

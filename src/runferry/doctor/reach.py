"""Check whether an address can be reached from here, and how it fails if not."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.trackers.http_rules import NoRedirects, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 8.0
"""For one address."""

STORAGE = "https://storage.googleapis.com"
"""Where W&B's own server has files sent (the Alliance's page on W&B names it as what is not reachable)."""


@dataclass(frozen=True)
class Reached:
    """The result of asking an address."""

    reached: bool
    how: str
    """Such as "answers (HTTP 404)" or "Network is unreachable"."""


def reach(url: str, variables: Mapping[str, str] | None = None, seconds: float = SECONDS) -> Reached:
    """Send a request to an address; any answer in HTTP counts.

    Parameters
    ----------
    url
        Of a server.
    variables
        Whose proxies are used; without any, none is. This machine itself is never asked through a proxy.
    seconds
        To wait. Looking up the name is not counted: where no name server answers, that takes its own time.
    """
    proxies = {} if is_loopback(url) else proxies_in(variables or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), NoRedirects)
    try:
        with opener.open(urllib.request.Request(url, method="HEAD"), timeout=seconds) as answer:
            return Reached(reached=True, how=f"answers (HTTP {answer.status})")
    except urllib.error.HTTPError as error:
        # A proxy that refuses an address says so in HTTP too, but where it is asked for a tunnel: an OSError.
        return Reached(reached=True, how=f"answers (HTTP {error.code})")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            return Reached(reached=False, how=f"no answer within {seconds:g} s")
        return Reached(reached=False, how=str(getattr(reason, "strerror", None) or reason))


def proxies_in(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that variables name, by the scheme of an address."""
    found: dict[str, str] = {}
    for scheme in ("http", "https"):
        names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
        if given := next((variables[name] for name in names if variables.get(name)), None):
            found[scheme] = given
    return found

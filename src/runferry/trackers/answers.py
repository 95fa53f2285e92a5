"""Read what a tracker's server says besides the content of its answer: a redirect, how long to wait."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

REDIRECTS = (301, 302, 303, 307, 308)
SHORTEST_WAIT = 1.0


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the request, with the key in its header, would go to whatever host the answer names."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        """Return no request, so that the answer itself is what the caller gets, as an error."""


def redirect_message(base_url: str, status: int, location: str | None) -> str:
    """Return the message that a server redirects elsewhere, without what comes behind the path of that address."""
    target = urlsplit(urljoin(f"{base_url}/", location or ""))
    where = f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}"
    found = f"{base_url}: found a redirect to {where} (HTTP {status}), expected an answer"
    return f"{found}; the key is not sent on (a login page, a proxy, another address of the server?)"


def seconds_to_wait(status: int, header: Callable[[str], str | None]) -> float | None:
    """Return how many seconds a server asks to wait before the next request; None where it does not say.

    W&B's says it in RateLimit-Reset with its 429; others in Retry-After.

    Parameters
    ----------
    status
        Of the answer, in HTTP.
    header
        Returns one of its headers by name.

    >>> seconds_to_wait(429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}.get)
    12.0
    """
    names = ["Retry-After", *(["RateLimit-Reset", "X-RateLimit-Reset"] if status == 429 else [])]
    for name in names:
        try:
            seconds = float(header(name) or "")
        except ValueError:
            continue
        if seconds >= 0:
            return max(seconds, SHORTEST_WAIT)
    return None

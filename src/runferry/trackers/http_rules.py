"""Apply one set of rules to all requests to trackers' servers: retries, time limits, redirects, proxies, login pages.

Two transports follow them: urllib's opener, which asks a question now and then, and a session of `requests`, whose
connections stay open.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Session

REQUEST_TIMEOUT = 30.0
"""Seconds that one request may take."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds before a request is made again when the server answers 429 or 5xx or the connection breaks."""
LONGEST_PAUSE = 8.0
LONGEST_ASKED = 120.0
"""Seconds for which a server that says how long to wait is waited for, where no deadline is given."""
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


def is_trouble(status: int) -> bool:
    """Return whether a status of HTTP may be over soon, so that the request is made again."""
    return status == 429 or status >= 500


def json_mapping(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object that an answer is; None for what a login page or a proxy says in its place.

    >>> json_mapping(b'{"data": 1}'), json_mapping(b"<html>Log in")
    ({'data': 1}, None)
    """
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return None
    return answer if is_mapping(answer) else None


def opener_for(url: str) -> urllib.request.OpenerDirector:
    """Return what opens a server's addresses: it follows no redirect, and asks this machine through no proxy."""
    # A proxy that a site sets for the world is not for this machine; wandb-core makes the same exception.
    proxies = urllib.request.ProxyHandler({} if is_loopback(url) else None)
    return urllib.request.build_opener(proxies, NoRedirects)


def session_for(url: str) -> Session:
    """Return a session for a server, which asks this machine through no proxy; redirects are each request's matter."""
    # Its import takes 0.1 s, and the opener needs it not.
    import requests

    session = requests.Session()
    # Neither a proxy of the site's for this machine, nor a key of netrc's, which is known already where it counts.
    session.trust_env = not is_loopback(url)
    session.headers["User-Agent"] = "runferry"
    return session


def is_loopback(url: str) -> bool:
    """Return whether a URL points to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

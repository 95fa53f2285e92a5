"""Requests that the stand-in refuses."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that is refused; its text goes to the client, with the HTTP status of its class."""

    status = 400


class NotFoundError(RefusedError):
    """What the request names is not there."""

    status = 404

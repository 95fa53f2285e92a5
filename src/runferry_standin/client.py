"""A running stand-in as a test or a command sees it: where it is, what it holds, what it is to do wrong."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from runferry_standin.assumptions import TURNED

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence


class StandIn:
    """A running stand-in, as a test or a command sees it.

    Attributes
    ----------
    url
        Where it is: WANDB_BASE_URL.
    key
        WANDB_API_KEY.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    @property
    def environment(self) -> dict[str, str]:
        """What a wandb client needs in its environment to find this server."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}

    def faults(self, *rules: dict[str, Any]) -> None:
        """Put these rules (see `runferry_standin.faults`) in place of all that are in force; none clears them."""
        self.ask("PUT", "/standin/faults", list(rules))

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules in force, with how often each was used."""
        return self.ask("GET", "/standin/faults")

    def behave(self, **behaviour: Any) -> None:
        """Let the server behave so (see `runferry_standin.behaviour`); what is not named is as by default."""
        self.ask("PUT", "/standin/behaviour", behaviour)

    def turn(self, *assumptions: str) -> None:
        """Be another server than runferry assumes, in just these (see `runferry_standin.assumptions`); none: as W&B's.

        All behaviours and rules in force before are gone.

        Raises
        ------
        KeyError
            For a name that is none of an assumption.
        """
        behaviour: dict[str, Any] = {}
        for name in assumptions:
            behaviour |= TURNED[name].behaviour
        self.behave(**behaviour)
        self.faults(*(rule for name in assumptions for rule in TURNED[name].rules))

    def add_user(self, name: str, key: str, teams: Sequence[str] = ()) -> None:
        """Add a user with a key of 40 characters or more, and the teams that they are in."""
        self.ask("PUT", "/standin/accounts", {"name": name, "key": key, "teams": list(teams)})

    def change_rows(self, entity: str, project: str, run: str, rows: Mapping[int, str | None]) -> None:
        """Set history lines of a run by their position, as if the server had lost (None) or confused them.

        Raises
        ------
        LookupError
            When it holds no such run.
        """
        self.ask("PATCH", f"/standin/runs/{entity}/{project}/{run}", {str(place): row for place, row in rows.items()})

    def run(self, entity: str, project: str, run: str) -> dict[str, Any]:
        """Return all that the server holds of a run (see `runferry_standin.inspection.run_as_json`).

        Raises
        ------
        LookupError
            When it holds no such run.
        """
        return self.ask("GET", f"/standin/runs/{entity}/{project}/{run}")

    def runs(self, entity: str, project: str) -> list[str]:
        """Return the ids of a project's runs, the oldest first; none when there is no such project."""
        return self.ask("GET", f"/standin/runs/{entity}/{project}")

    def requests(self) -> dict[str, Any]:
        """Return how many requests came: "total", "counts" by kind, "requests" one by one."""
        return self.ask("GET", "/standin/requests")

    def clear_requests(self) -> None:
        """Count from zero again."""
        self.ask("DELETE", "/standin/requests")

    def set_ahead(self, seconds: float) -> None:
        """Set the server's clock so far ahead of the real one."""
        self.ask("PUT", "/standin/clock", {"seconds_ahead": seconds})

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the body of a GraphQL request's answer.

        Raises
        ------
        LookupError, urllib.error.HTTPError
            When its status is 404, or another that is not 200.
        """
        return self.ask("POST", "/graphql", {"query": query, "variables": variables or {}})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request with the key and return the JSON of its answer."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"api:{self.key}".encode()).decode())
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        # Straight to it: a proxy in the environment is for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, data, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                message = f"{path}: {error.read().decode(errors='replace')}"
                raise LookupError(message) from error
            raise


class ProcessStandIn(StandIn):
    """A stand-in that is a process of its own, which a test can kill."""

    def __init__(self, url: str, key: str, process: subprocess.Popen[str]) -> None:
        super().__init__(url, key)
        self.process = process

    def kill(self) -> None:
        """Kill the server with SIGKILL: no farewell, no last write."""
        self.process.kill()
        self.process.wait()

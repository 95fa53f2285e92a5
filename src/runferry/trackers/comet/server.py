"""Ask a Comet server for experiments, over its REST API (v2).

The requests are those of `comet_ml.API` (read in comet_ml 3.58.8, `connection/connection_api.py`), made without it: its
import takes half a second, and the process that syncs need not have it. None was ever made to Comet's own server.
"""

from __future__ import annotations

import configparser
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from runferry.errors import ServerError
from runferry.system.values import is_list
from runferry.trackers.api_keys import COMET_KEY_VARIABLE, held_key
from runferry.trackers.comet.segments import Point, as_step, comparable_text
from runferry.trackers.http_rules import (
    LONGEST_ASKED,
    PAUSES,
    REDIRECTS,
    REQUEST_TIMEOUT,
    is_trouble,
    json_mapping,
    redirect_message,
    seconds_to_wait,
    session_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

OWN_SERVER = "https://www.comet.com"
ADDRESS_VARIABLE = "COMET_URL_OVERRIDE"
CLIENT_PATH = "/clientlib"
"""What comet_ml's variable has behind the server's address."""
REQUESTS_AT_ONCE = 8
NOT_THERE = (400, 404)
"""With either, comet_ml itself takes an experiment for not being there (`API.get_experiment_by_key`)."""


@dataclass(frozen=True)
class ExperimentOnServer:
    """An experiment as the server holds it.

    Attributes
    ----------
    workspace, project : str
    running : bool
        Whether it is shown as running.
    metrics : dict of str to list of Point
        The values of each metric that was asked for.
    parameters, others : dict of str to str
    assets : dict of str to (str, int or None)
        Name and size in bytes of each file, by its asset id.
    tags : set of str
    """

    workspace: str
    project: str
    running: bool
    metrics: Mapping[str, list[Point]]
    parameters: Mapping[str, str]
    others: Mapping[str, str]
    assets: Mapping[str, tuple[str, int | None]]
    tags: set[str]


@dataclass(frozen=True)
class CometServer:
    """A Comet server and the key for it."""

    base_url: str
    key: str = field(repr=False)
    key_source: str
    """Where the key was found, for messages; the key itself is in none."""
    say: Callable[[str], None] = field(default=lambda _line: None, compare=False)

    @property
    def client_url(self) -> str:
        """Return the value of COMET_URL_OVERRIDE for this server."""
        return f"{self.base_url}{CLIENT_PATH}/"

    def url_of(self, experiment: str, there: ExperimentOnServer) -> str:
        """Return the address of an experiment's page."""
        return f"{self.base_url}/{there.workspace}/{there.project}/{experiment}"

    def experiment(self, key: str, metrics: Iterable[str]) -> ExperimentOnServer | None:
        """Ask for an experiment, with every value of some metrics; None where it does not exist.

        Raises
        ------
        ServerError
            When the server cannot be asked, refuses the key, or answers something else.
        """
        metadata = self._get("metadata", key, absent_is_none=True)
        if metadata is None:
            return None
        names = list(metrics)
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            details = [pool.submit(self._get, what, key) for what in ("parameters", "log-other", "asset/list", "tags")]
            values = {name: pool.submit(self._points, key, name) for name in names}
            points = {name: value.result() for name, value in values.items()}
            parameters, others, assets, tags = (each.result() for each in details)
        try:
            return ExperimentOnServer(
                str(metadata["workspaceName"]),
                str(metadata["projectName"]),
                bool(metadata.get("running")),
                points,
                _current_values(parameters),
                _current_values(others),
                {str(each["assetId"]): (str(each["fileName"]), _size(each)) for each in _list(assets, "assets")},
                {str(tag) for tag in _list(tags, "tags")},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(error) from error

    def _points(self, key: str, metric: str) -> list[Point]:
        answer = self._get("metrics/get-metric", key, metricName=metric)
        try:
            return [
                (as_step(each.get("step")), comparable_text(each["metricValue"])) for each in _list(answer, "metrics")
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(error) from error

    def _get(self, what: str, key: str, *, absent_is_none: bool = False, **parameters: str) -> dict[str, Any] | None:
        url = f"{self.base_url}/api/rest/v2/experiment/{what}"
        for pause in (*PAUSES, None):
            try:
                answer = self._session().get(
                    url, params={"experimentKey": key, **parameters}, timeout=REQUEST_TIMEOUT, allow_redirects=False
                )
            except requests.RequestException as error:
                if pause is None or _refused(error):
                    message = f"{self.base_url}: could not be reached: expected an answer, found {_reason(error)}"
                    raise ServerError(message) from error
                time.sleep(pause)
                continue
            if pause is not None and is_trouble(answer.status_code):
                asked = seconds_to_wait(answer.status_code, answer.headers.get)
                wait = pause if asked is None else min(asked, LONGEST_ASKED)
                self.say(f"{self.base_url}: answered HTTP {answer.status_code}; trying again in {wait:.0f} s")
                time.sleep(wait)
                continue
            if absent_is_none and answer.status_code in NOT_THERE:
                return None
            return self._parsed(answer)
        raise AssertionError  # the last turn of the loop returns or raises

    def _session(self) -> requests.Session:
        session = session_for(self.base_url)
        session.headers["Authorization"] = self.key
        return session

    def _parsed(self, answer: requests.Response) -> dict[str, Any]:
        if answer.status_code in {401, 403}:
            message = f"{self.base_url}: refused the key found in {self.key_source} (HTTP {answer.status_code})"
            raise ServerError(f"{message}, expected a valid one; run: comet login")
        if answer.status_code in REDIRECTS:
            raise ServerError(redirect_message(self.base_url, answer.status_code, answer.headers.get("Location")))
        if answer.status_code != 200:
            raise ServerError(f"{self.base_url}: found HTTP {answer.status_code}, expected 200")
        content = json_mapping(answer.content)
        if content is None:
            message = f"{self.base_url}: found an answer that is not JSON (a login page, a proxy?)"
            raise ServerError(f"{message}, expected Comet's")
        return content

    def _unexpected(self, error: Exception) -> ServerError:
        message = f"{self.base_url}: found an answer without {error}, expected Comet's description of an experiment"
        return ServerError(message)


def given_base_url(base_url: str | None) -> str | None:
    """Return the server's address where one is set: the config's `comet.base_url`, else `$COMET_URL_OVERRIDE`."""
    given = base_url or os.environ.get(ADDRESS_VARIABLE) or ""
    return given.rstrip("/").removesuffix(CLIENT_PATH) or None


def find_server(base_url: str | None, say: Callable[[str], None] = lambda _line: None) -> CometServer:
    """Find the server and the key for it as comet_ml does: environment, `./.comet.config`, `~/.comet.config`.

    Before the files, the key that the Snakemake which called this has put away (see `runferry.trackers.api_keys`).

    Raises
    ------
    ServerError
        When the address is no URL or there is no key.
    """
    url = given_base_url(base_url) or OWN_SERVER
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
        raise ServerError(f"{ADDRESS_VARIABLE}: found {url!r}, expected a URL such as {OWN_SERVER}{CLIENT_PATH}/")
    if key := os.environ.get(COMET_KEY_VARIABLE) or held_key(COMET_KEY_VARIABLE):
        return CometServer(url, key, COMET_KEY_VARIABLE, say)
    files = [Path(os.environ.get("COMET_CONFIG") or ".comet.config"), Path("~/.comet.config").expanduser()]
    for file in files:
        if key := _key_in(file):
            return CometServer(url, key, str(file), say)
    where = " nor ".join(map(str, files))
    message = f"{url}: found no key ({COMET_KEY_VARIABLE} is not set, neither {where} has an api_key)"
    raise ServerError(f"{message}, expected one; run: comet login")


def _key_in(file: Path) -> str | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file)
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise ServerError(f"{file}: found a file that cannot be read ({why}), expected comet_ml's settings") from error
    return parser.get("comet", "api_key", fallback="").strip() or None


def _current_values(answer: dict[str, Any] | None) -> dict[str, str]:
    return {str(each["name"]): str(each["valueCurrent"]) for each in _list(answer, "values")}


def _list(answer: dict[str, Any] | None, name: str) -> list[Any]:
    found: Any = (answer or {})[name]
    if not is_list(found):
        raise TypeError(name)
    return found


def _size(asset: Mapping[str, Any]) -> int | None:
    return None if asset.get("fileSize") is None else int(asset["fileSize"])


def _refused(error: requests.RequestException) -> bool:
    return any(word in str(error) for word in ("Connection refused", "Name or service not known"))


def _reason(error: requests.RequestException) -> str:
    return str(getattr(error.args[0], "reason", None) or error) if error.args else type(error).__name__

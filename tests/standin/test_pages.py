"""The pages behind the links that wandb prints."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from runferry_standin import running

if TYPE_CHECKING:
    from runferry_standin import StandIn

NASTY = "<script>alert(1)</script>&\"'"
# The id of a run has no slash.
NASTY_ID = NASTY.replace("/", "")

UPSERT = """
mutation($display: String, $config: JSONString, $name: String) {
  upsertBucket(input: {name: $name, modelName: "p", displayName: $display, config: $config}) { inserted }
}
"""


def page(server: StandIn, path: str, *, key: str | None = None) -> str:
    request = urllib.request.Request(server.url + path)
    if key is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"api:{key}".encode()).decode())
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        return answer.read().decode()


def test_a_run_s_page_shows_what_arrived(server: StandIn) -> None:
    config = json.dumps({"lr": {"value": 0.25}, "_wandb": {"value": {"secret": 1}}})
    server.graphql(UPSERT, {"name": "a", "display": "nice name", "config": config})
    lines = [json.dumps({"_step": step, "loss": step / 8}) for step in range(60)]
    chunk = {"offset": 0, "content": lines}
    request = {"files": {"wandb-history.jsonl": chunk}, "complete": True, "exitcode": 0}
    server.ask("POST", "/files/demo/p/a/file_stream", request)

    shown = page(server, "/demo/p/runs/a")

    for expected in ("nice name", "finished", "<td>lr</td><td>0.25</td>", "<td>59</td><td>7.375</td>"):
        assert expected in shown
    assert "<td>9</td><td>1.125</td>" not in shown
    assert "secret" not in shown
    assert 'href="/demo/p/runs/a"' in page(server, "/demo/p")
    assert 'href="/demo/p"' in page(server, "/")


def test_what_users_call_things_does_not_run(server: StandIn) -> None:
    config = json.dumps({NASTY: {"value": NASTY}})
    server.graphql(UPSERT, {"name": NASTY_ID, "display": NASTY, "config": config})
    line = json.dumps({"_step": 0, NASTY: NASTY})
    path = quote(NASTY_ID, safe="")
    server.ask(
        "POST",
        f"/files/demo/p/{path}/file_stream",
        {"files": {"wandb-history.jsonl": {"offset": 0, "content": [line]}}},
    )

    for address in ("/demo/p", f"/demo/p/runs/{path}"):
        shown = page(server, address)
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown


def test_a_page_of_nothing_is_not_found(server: StandIn) -> None:
    for address in ("/demo/nothing", "/demo/nothing/runs/a"):
        with pytest.raises(urllib.error.HTTPError) as missing:
            page(server, address)
        assert missing.value.code == 404
    assert "Nothing was sent yet" in page(server, "/")


def test_with_a_key_of_one_s_own_the_pages_and_the_controls_ask_for_it() -> None:
    with running(key="f" * 40) as server:
        for address in ("/", "/demo/p", "/standin/requests", "/standin/faults"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                page(server, address)
            assert refused.value.code == 401
            assert refused.value.headers["WWW-Authenticate"].startswith("Basic")
        assert "Nothing was sent yet" in page(server, "/", key="f" * 40)
        assert server.requests()["total"] > 0

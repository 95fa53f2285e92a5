"""The key and the server, as the login node has them."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from runferry.config.cluster import find_cluster
from runferry.doctor import wandb_server
from runferry.doctor.reach import reach
from support.doctored import KEY, marks, one


def test_a_valid_key_is_said_to_be_one_and_never_shown(server, site, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    found = list(wandb_server.wandb_server(site))
    assert marks(found) == {"server": "ok", "key": "ok"}
    assert KEY not in str(found)


@pytest.mark.parametrize(("key", "said"), [("0" * 40, "refused the key"), (None, "found no key")])
def test_a_key_that_is_refused_or_missing_is_a_problem(server, site, monkeypatch, key, said):
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    found = list(wandb_server.wandb_server(site))
    assert marks(found) == {"server": "ok", "key": "problem"}
    assert said in one(found, "key").found


def test_a_server_that_answers_nothing_is_waited_for_no_longer_than_said(site, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setattr(wandb_server, "reach", lambda url, variables: reach(url, variables, 0.5))
        found = list(wandb_server.wandb_server(site))
    assert marks(found) == {"server": "problem", "key": "unknown"}
    assert one(found, "server").found == f"{url}: no answer within 0.5 s"


def test_a_server_that_no_login_node_of_the_site_reaches_is_no_problem(site, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    found = list(wandb_server.wandb_server(replace(site, cluster=find_cluster("marenostrum5"))))
    assert marks(found) == {"server": "ok"}
    assert "as expected; set sync.where to remote" in one(found, "server").found

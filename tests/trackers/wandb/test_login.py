"""Where the key and the address come from."""

from __future__ import annotations

import os
import subprocess

import pytest

from runferry.config.wandb_settings import stored_settings
from runferry.errors import ServerError
from runferry.trackers.wandb import address
from runferry.trackers.wandb.address import given_base_url
from runferry.trackers.wandb.login import find_server, missing_key
from support.launching import WANDB_VERSIONS
from support.logins import nothing_set  # noqa: F401 - a fixture

KEY = "ab" * 20


def test_the_key_comes_from_the_environment_first(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine w.example login user password " + "cd" * 20)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    found = find_server("https://w.example/")
    assert (found.base_url, found.key, found.key_source) == ("https://w.example", KEY, "WANDB_API_KEY")


def test_the_key_comes_from_netrc_by_host_and_port(tmp_path):
    (tmp_path / ".netrc").write_text(f"machine w.example:8080 login user password {KEY}")
    assert find_server("https://w.example:8080").key == KEY
    with pytest.raises(ServerError, match=r"found no key .* run: wandb login"):
        find_server("https://w.example")


def test_a_key_that_an_older_wandb_stored_is_found_under_the_new_name(tmp_path):
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}")
    assert find_server("https://api.forge.coreweave.com").key == KEY


def test_netrcs_other_places(monkeypatch, tmp_path):
    elsewhere = tmp_path / "keys"
    elsewhere.write_text(f"machine w.example login user password {KEY}")
    monkeypatch.setenv("NETRC", str(elsewhere))
    assert find_server("https://w.example").key_source == str(elsewhere)


def test_a_broken_netrc_is_named(tmp_path):
    (tmp_path / ".netrc").write_text("machine\n")
    with pytest.raises(ServerError, match=r"\.netrc: found a file that cannot be read"):
        find_server("https://w.example")


def test_the_address_is_the_configs_then_the_environments_then_wandbs_own(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "https://environment.example")
    assert find_server("https://config.example").base_url == "https://config.example"
    assert find_server().base_url == "https://environment.example"
    monkeypatch.delenv("WANDB_BASE_URL")
    import wandb

    assert find_server().base_url == wandb.Settings().base_url


@pytest.mark.slow
def test_the_server_of_wandb_login_is_the_one_that_its_key_is_for(tmp_path, wandb_python, server):
    url, key = server.environment["WANDB_BASE_URL"], server.environment["WANDB_API_KEY"]
    for version in WANDB_VERSIONS:
        home = tmp_path / version
        home.mkdir()
        environment = {"HOME": str(home), "PATH": os.defpath, "WANDB_ERROR_REPORTING": "false", "NO_PROXY": "127.0.0.1"}
        words = [wandb_python(version), "-m", "wandb", "login", "--host", url, key]
        subprocess.run(words, env=environment, cwd=home, stdin=subprocess.DEVNULL, check=True, timeout=100)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            patch.chdir(home)
            assert (find_server().base_url, find_server().key) == (url, key)
            (home / "wandb").mkdir(exist_ok=True)
            (home / "wandb" / "settings").write_text("[default]\nbase_url = https://folder.example/\n")
            stored_settings.cache_clear()
            assert given_base_url(None) == "https://folder.example"


@pytest.mark.parametrize("address", ["ftp://w.example", "w.example"])
def test_an_address_that_is_none_is_refused(monkeypatch, address):
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with pytest.raises(ServerError, match="expected a URL"):
        find_server()


def test_a_missing_key_is_found_without_importing_wandb(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(address, "_wandbs_own_base_url", lambda: pytest.fail("wandb was imported"))
        assert "found no key" in (said := missing_key() or "")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert missing_key() is None
    monkeypatch.delenv("WANDB_API_KEY")
    # It is what wandb itself would use.
    assert address._wandbs_own_base_url() == said.partition(": found")[0]

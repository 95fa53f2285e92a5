"""What the config says of syncing reaches every `runferry sync` of its own results folder."""

from __future__ import annotations

from runferry.sync.options import SYNC_OPTIONS, options_for, set_options


def test_each_results_folder_has_its_own_options(tmp_path, monkeypatch):
    monkeypatch.setenv(SYNC_OPTIONS, "")
    set_options(tmp_path / "one", ["--deadline=60"])
    set_options(tmp_path / "two", ["--parallel=3"])
    log = str(tmp_path / "logs" / "sync.log")
    assert options_for(["--log", log, str(tmp_path / "one" / "a" / "run1")]) == ["--deadline=60"]
    assert options_for([str(tmp_path / "two")]) == ["--parallel=3"]


def test_a_relative_path_is_found_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SYNC_OPTIONS, "")
    set_options(tmp_path / "results", ["--parallel=3"])
    assert options_for(["results/a"]) == ["--parallel=3"]


def test_elsewhere_and_outside_a_workflow_there_are_none(tmp_path, monkeypatch):
    monkeypatch.delenv(SYNC_OPTIONS, raising=False)
    assert options_for([str(tmp_path)]) == []
    set_options(tmp_path / "one", ["--parallel=3"])
    assert options_for([str(tmp_path / "another")]) == []

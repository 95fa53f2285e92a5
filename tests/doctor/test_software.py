"""Modules, their Python, and the wheels of a site."""

from __future__ import annotations

import os
import sys
import tomllib

from runferry.doctor import software
from runferry.doctor.record import Redaction
from support.doctored import marks, of_cluster, one
from support.paths import ROOT

WITHOUT_MODULES = {"BASH_FUNC_module%%": "() { return 1; }"}


def test_modules_are_loaded_and_the_python_that_they_bring_is_asked(site, tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    old = tmp_path / "old" / "python3"
    old.write_text("""#!/bin/sh\necho '["/old/python3", "3.10.2", "linux"]'\n""")
    old.chmod(0o755)
    text = (
        f'case "$2" in httpproxy) export https_proxy=http://me:secret@proxy:3128;; *) PATH="{old.parent}:$PATH";; esac'
    )
    monkeypatch.setenv("BASH_FUNC_module%%", f"() {{ {text}; }}")
    found = Redaction().findings(software.modules(site))
    assert marks(found)["python/3.11"] == "ok"
    assert one(found, "python3").mark == "differs"
    assert one(found, "python3").found.startswith("3.10.2 (/old/python3)")
    assert one(found, "httpproxy").found == "https_proxy=http://<removed>@proxy:3128"
    assert marks(found)["snakemake"] == "ok"


def test_without_a_module_command_that_is_said(site, monkeypatch):
    monkeypatch.delenv("BASH_FUNC_module%%", raising=False)
    found = list(software.modules(site))
    for name in ("python/3.11", "httpproxy"):
        assert one(found, name).mark == "differs"
        assert "expected none where there is no `module` command" in one(found, name).found
    assert one(found, "python3").mark == "ok"


def test_it_is_seen_whether_there_is_a_module_command(monkeypatch):
    monkeypatch.delenv("BASH_FUNC_module%%", raising=False)
    assert not software._there_is_a_module_command()
    monkeypatch.setenv("BASH_FUNC_module%%", "() { return 1; }")
    assert software._there_is_a_module_command()


def wheel(name, version, tag="py3-none-any"):
    return f"{name}-{version}-{tag}.whl"


def test_the_wheels_of_pips_own_folders_are_compared_with_what_is_needed(site, tmp_path, monkeypatch):
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    names = [
        wheel("snakemake", "9.17.1"),
        wheel("snakemake", "9.9.0"),
        wheel("wandb", "0.21.4"),
        wheel("torch", "2.13.0+computecanada", f"{here}-{here}-linux_x86_64"),
        wheel("My_Package", "1", "cp27-cp27m-linux_x86_64"),
    ]
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    monkeypatch.setenv("PIP_FIND_LINKS", f"{folder} {tmp_path}/gone")
    for name, value in WITHOUT_MODULES.items():
        monkeypatch.setenv(name, value)
    found = list(software.wheelhouse(site, ["my-package"]))
    python = ".".join(map(str, sys.version_info[:2]))
    assert [(finding.mark, finding.found) for finding in found if finding.what == "folder"] == [
        ("ok", str(folder)),
        ("problem", f"{tmp_path}/gone: no such folder"),
    ]
    seen = {finding.what.removesuffix(f" for Python {python}"): (finding.mark, finding.found) for finding in found}
    del seen["folder"]
    assert seen == {
        "snakemake": ("ok", "9.9.0, 9.17.1"),
        "snakemake-executor-plugin-slurm": ("differs", "none"),
        "wandb": ("differs", "0.21.4"),
        "torch": ("ok", "2.13.0+computecanada"),
        # For another Python only.
        "my-package": ("differs", "none"),
    }


def test_a_sites_own_list_of_its_wheels_comes_first(programs, site, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name, value in WITHOUT_MODULES.items():
        monkeypatch.setenv(name, value)
    programs("avail_wheels", "echo 'name version'; echo '---- -------'; echo 'wandb 0.27.2'; echo 'wandb_more 1.0'")
    found = list(software.wheelhouse(site, []))
    (wandb,) = [finding for finding in found if finding.what.startswith("wandb ")]
    assert (wandb.mark, wandb.found) == ("ok", "0.27.2")


def test_no_wheelhouse_matters_only_where_the_facts_name_one(site, tmp_path, monkeypatch):
    for name, value in WITHOUT_MODULES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert [finding.mark for finding in software.wheelhouse(site, [])] == ["differs"]
    assert [finding.mark for finding in software.wheelhouse(of_cluster("mila", tmp_path), [])] == ["info"]


def test_the_versions_that_are_asked_for_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = project["dependencies"]
    needed = dict(line.split(">=") for line in listed if ">=" in line)
    assert {name: needed[name] for name in software.INSTALLED} == software.INSTALLED
    assert software.WANTED["snakemake"] == needed["snakemake"]

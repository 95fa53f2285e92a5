"""A Slurm with the partitions, qualities of service and accounts of another site: its profile, what is learned."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import runferry
from runferry.config.cluster import facts
from support.paths import ROOT

GOLDEN = ROOT / "tests" / "end_to_end" / "golden"


REFUSED = {
    "leonardo": [
        "-A lab -t 241 --gpus-per-node=1",
        "-A lab -p boost_usr_prod --qos=boost_qos_dbg -t 31 --gpus-per-node=1",
    ],
    "jeanzay": [
        "-A lab@v100 --qos=qos_gpu-t3 -t 1201 --gres=gpu:1",
        "-A lab@v100 --qos=qos_gpu_h100-t3 -t 60 --gres=gpu:1",
        "-A lab -t 60 --gres=gpu:1",
    ],
}


def requests_of(site, folder):
    """The calls of sbatch that the profile makes, by what was asked for, with this folder's name."""
    text = (GOLDEN / f"{site}.txt").read_text().replace("FOLDER", str(folder))
    found = {}
    for asked, line in re.findall(r"^(\w+): .*\n(sbatch .*)$", text, re.MULTILINE):
        found[asked] = [*shlex.split(line), "--hold", "--wrap=true"]
    return found


# What doctor --learn gives back there, of the facts that the cluster was made from.
LEARNED = {
    "leonardo": {
        "account/required": False,  # The rig's user has a default account.
        "jobs/longest": {"cpu": "24h", "gpu": "4d"},
        "jobs/cpu": facts("leonardo")["jobs"]["cpu"],
        "jobs/gpu": facts("leonardo")["jobs"]["gpu"],
        **{
            f"gpu/models/a100/{key}": facts("leonardo")["gpu"]["models"]["a100"][key]
            for key in ("per_node", "whole_node", "node_cores", "node_memory", "cores", "memory")
        },
    },
    "jeanzay": {
        "account/suffix": "@cpu",
        "gpu/request": "gres-untyped",
        "jobs/longest": {"cpu": "100h", "gpu": "100h"},
        "jobs/cpu": facts("jeanzay")["jobs"]["cpu"],
        **{
            f"gpu/models/{model}/{key}": facts("jeanzay")["gpu"]["models"][model][key]
            for model in ("v100-16g", "v100-32g", "a100", "h100")
            for key in ("per_node", "whole_node", "cores", "constraint", "account_suffix", "qos")
        },
        # There is no longer quality of service for it.
        "gpu/models/a100/longest": "20h",
    },
}


def check_learned(machine, site, folder):
    """Have a login node of a site drafted, a job looked at, and the draft compared with what the site was made from."""
    source = Path(runferry.__file__).parents[1]
    command = [sys.executable, "-m", "runferry", "doctor", "--learn", "drafted", "--probe", "--patience", "1"]
    said = machine.run(f"cd {folder} && PYTHONPATH={source} {shlex.join(command)} 2>&1")
    text = (folder / "drafted.yaml").read_text()
    draft = yaml.safe_load(text)
    schema = yaml.safe_load((source / "runferry" / "clusters" / "schema.yaml").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(draft)] == []
    found = {}
    for path in LEARNED[site]:
        value = draft
        for key in path.split("/"):
            value = value[key]
        found[path] = value
    assert found == LEARNED[site]
    # Seen by a job: no way out, and its own disk.
    assert draft["wandb"]["availability"] == "no"
    assert re.search(r"availability: 'no'  # from a job: \w", text)
    assert draft["node_local"]
    # What nobody could say is marked, and counted.
    marked = [line for line in text.splitlines() if "NOT ESTABLISHED" in line and not line.startswith("#")]
    assert any(line.startswith("scratch_purge_days: null  # NOT ESTABLISHED") for line in marked)
    assert f"{len(marked)} lines say NOT ESTABLISHED" in said
    assert [file.name for file in folder.iterdir()] == ["drafted.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize("site", ["leonardo", "jeanzay"])
def test_a_site_takes_every_request_of_its_profile_and_gives_back_its_facts(machine, site, tmp_path):
    up = machine.bring_up("up", f"--site={site}")
    assert up.returncode == 0, up.stdout
    requests = requests_of(site, tmp_path)
    assert len(requests) >= 5
    for asked, words in requests.items():
        job = machine.run(shlex.join(words)).split()[-1]
        shown = machine.run(f"scontrol show job {job}")
        for option, field in (("-p", "Partition"), ("-A", "Account"), ("--qos", "QOS"), ("-C", "Features")):
            value = next((word.partition("=")[2] for word in words if word.startswith(f"{option}=")), None)
            value = value or (words[words.index(option) + 1] if option in words else None)
            if value is not None:
                assert f" {field}={value}" in shown.replace("\n", " "), asked
        # It waits for nobody but the hold: there are nodes that can run it.
        assert "Reason=JobHeldUser" in shown, asked
        machine.run(f"scancel {job}")
    # What its profile does not do is refused.
    for words in REFUSED[site]:
        refused = machine.run(f"sbatch {words} --hold --wrap=true 2>&1 || echo refused")
        assert refused.endswith("refused\n"), words
    (tmp_path / "learned").mkdir()
    check_learned(machine, site, tmp_path / "learned")

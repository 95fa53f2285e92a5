"""A Slurm with the partitions, qualities of service and accounts of another site takes what its profile submits."""

from __future__ import annotations

import re
import shlex

import pytest

from support.paths import ROOT

GOLDEN = ROOT / "tests" / "end_to_end" / "golden"


REFUSED = {
    "leonardo": ["-A lab -t 241 --gpus-per-node=1", "-A lab -p boost_usr_prod --qos=boost_qos_dbg -t 31 --gpus-per-node=1"],
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


@pytest.mark.slow
@pytest.mark.parametrize("site", ["leonardo", "jeanzay"])
def test_a_site_takes_every_request_of_its_profile(machine, site, tmp_path):
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

"""`runferry pull` through a real sshd: restricted keys, the wrapper of an automation node, a TCP line that is cut."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runferry.runs.receipt import holds
from support.pulling import PROGRAM, pull, trained_at
from support.ssh_server import AUTOMATION, SSHD, cut_tcp, ssh_server
from support.written_runs import wrong

pytestmark = [pytest.mark.slow, pytest.mark.skipif(SSHD is None, reason="found no sshd (Debian: openssh-server)")]
RESTRICT = 'restrict,from="127.0.0.*"'


def test_runs_come_through_a_real_sshd_with_the_keys_that_a_site_may_ask_for(server, tmp_path: Path) -> None:
    results, mirror = tmp_path / "site" / "results", tmp_path / "laptop" / "runs"
    mirror.parent.mkdir()
    folders = trained_at(results, server)
    wrapper = tmp_path / "allowed_commands.sh"
    # sshd's PATH is not the last word: a shell may read the user's own files before it calls the wrapper.
    programs = Path(sys.executable).parent
    wrapper.write_text(AUTOMATION.replace("\n", f"\nPATH={programs}:$PATH\n", 1))
    wrapper.chmod(0o755)
    login = {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with ssh_server(tmp_path / "ssh", **login) as sshd, cut_tcp(sshd.port, [8000, 16000]) as cut_port:
        robot = sshd.client("robot", f'{RESTRICT},command="{wrapper}"')

        refused = pull(server, robot, results, mirror, "--program=runferry")

        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert f"found 'Command rejected by allowed_commands.sh: runferry serve-results {results}'" in line
        assert f'give the key command="/full/path/of/runferry serve-results {results}"' in line

        own = f'{RESTRICT},command="{PROGRAM} serve-results {results}"'
        done = pull(server, sshd.client("own", own, f"Port {cut_port}"), results, mirror)

        assert done.returncode == 0, done.stderr
        assert done.stderr.count("trying again") == 2
        for folder in folders:
            assert wrong(server, folder) == []
            assert holds(folder, server.url), done.stderr

        # What such a key is not for; what the wrapper takes; any command, through another host.
        elsewhere = pull(server, sshd.client("own2", own), tmp_path, mirror)
        assert "this key is for nothing else" in elsewhere.stderr
        jump = sshd.client("jump", "", "ProxyJump jump")
        for ssh, program in ((robot, "python -m runferry"), (jump, PROGRAM)):
            again = pull(server, ssh, results, mirror, f"--program={program}")
            assert again.returncode == 0, again.stderr
            assert "0 of 0 runs verified" in again.stderr
            assert "2 had one before" in again.stderr

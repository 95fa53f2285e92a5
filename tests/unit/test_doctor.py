"""`runferry doctor`: what each check makes of what a site's programs say, and that nothing keeps it waiting."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from runferry.cli.main import main
from runferry.config.cluster import cluster_names
from runferry.doctor import locks, node, scheduler, software, storage, submission, wandb_server
from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.checking import Check, run_checks
from runferry.doctor.examination import login_checks
from runferry.doctor.finding import Finding
from runferry.doctor.probe import _signals
from runferry.doctor.reach import reach
from runferry.doctor.record import DoctorRecord, Redaction, screen_lines
from runferry.doctor.site import find_site
from runferry.system.processes import is_alive
from runferry_standin import running
from slurm_stub import path_without_slurm

ROOT = Path(__file__).resolve().parents[2]
KEY = "fedcba9876" * 4
# As Slurm 22.05.8 prints it.
CONFIG = """\
Configuration data as of 2026-11-24T19:42:23
ClusterName             = narval
EnforcePartLimits       = ALL
KillWait                = 30 sec
MaxArraySize            = 1001
MinJobAge               = 300 sec
SLURM_VERSION           = 22.05.8
"""
PARTITIONS = """\
cpubase_bycore_b1*|3:00:00|64|255000+|(null)
gpubase_bynode_b5|7-00:00:00|48|510000|gpu:a100:4(S:0-1)
gpubase_mig_b5|7-00:00:00|48+|510000|gpu:a100_1g.5gb:4,gpu:a100_2g.10gb:2,gpu:a100_3g.20gb:2
"""
# As the real one prints it, on stderr.
TESTED = "sbatch: Job 5 to start at 2026-11-24T19:42:23 using 2 processors on nodes c1 in partition standard"
REFUSED = "allocation failure: Requested time limit is invalid (missing or exceeds some limit)"
WITHOUT_MODULES = {"BASH_FUNC_module%%": "() { return 1; }"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith(("WANDB_", "SLURM", "SBATCH_", "CC_", "PIP_", "SINFO_", "NETRC", "RUNFERRY_")):
            monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "SCRATCH", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    return path_without_slurm(tmp_path_factory.mktemp("laptop") / "bin")


@pytest.fixture
def programs(tmp_path, monkeypatch, laptop):
    """Give a function that puts a shell script onto a PATH without Slurm; scripts find `$FOLDER`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{laptop}")
    monkeypatch.setenv("FOLDER", str(tmp_path))

    def put(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def site(tmp_path):
    return find_site(str(ROOT / "profiles" / "narval"), None, (), tmp_path)


def of_cluster(name, tmp_path, account=None):
    return find_site(str(ROOT / "profiles" / name), account, (), tmp_path)


def marks(findings):
    return {finding.what: finding.mark for finding in findings}


def one(findings, what):
    (found,) = [finding for finding in findings if finding.what == what]
    return found


# Checks.


def _fails():
    yield Finding("a", "before", "ok", "seen")
    raise ZeroDivisionError("the first line\nand a second")


def _hangs(file):
    yield Finding("b", "before", "ok", "seen")
    child = subprocess.Popen(["sleep", "60"])
    file.write_text(str(child.pid))
    child.wait()


def test_a_check_that_fails_or_hangs_is_a_line_and_hides_nothing(tmp_path):
    file = tmp_path / "child"
    ended = []
    begin = time.monotonic()
    found = run_checks([Check("a", 30, _fails), Check("b", 0.5, partial(_hangs, file))], ended.append)
    assert time.monotonic() - begin < 5
    assert [(finding.about, finding.mark) for finding in found] == [
        ("a", "ok"),
        ("a", "unknown"),
        ("b", "ok"),
        ("b", "unknown"),
    ]
    assert found[1].found == "it failed with ZeroDivisionError: the first line"
    assert found[3].found == "no answer within 0.5 s"
    assert len(ended) == 2
    # What it had started is gone with it.
    while is_alive(int(file.read_text())):
        assert time.monotonic() - begin < 5
        time.sleep(0.01)


def _takes(seconds):
    time.sleep(seconds)
    yield Finding("c", "time", "ok", str(seconds))


def test_checks_run_at_the_same_time_and_come_in_their_order():
    begin = time.monotonic()
    found = run_checks([Check("c", 10, partial(_takes, seconds)) for seconds in (0.6, 0.5, 0.4)])
    assert time.monotonic() - begin < 1.4
    assert [finding.found for finding in found] == ["0.6", "0.5", "0.4"]


def test_a_program_that_hangs_is_waited_for_no_longer_than_said_though_its_child_goes_on(programs):
    programs("slow", "sleep 20 & wait")
    begin = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"slow did not answer within 0\.2 s"):
        answer_of("slow", seconds=0.2)
    assert time.monotonic() - begin < 5


def test_a_program_that_fails_is_quoted(programs):
    programs("broken", "echo output; printf 'one\\ntwo\\n' >&2; exit 3")
    with pytest.raises(NoAnswerError, match=r"broken failed \(exit code 3\) and said: one / two$"):
        answer_of("broken")


def test_what_a_program_prints_on_stderr_is_no_answer_unless_it_is_asked_for(programs):
    programs("chatty", "echo note >&2; echo answer")
    assert answer_of("chatty") == "answer"
    assert answer_of("chatty", errors_too=True) == "answer\nnote"


# The place.


@pytest.mark.parametrize("name", cluster_names())
def test_each_profile_leads_to_its_cluster(name, tmp_path):
    assert of_cluster(name, tmp_path).cluster.name == name


def test_the_config_of_the_folder_and_the_command_line_count(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(
        "account: def-mine\nwandb: {project: p, base_url: https://w.example}"
    )
    found = of_cluster("narval", tmp_path)
    assert (found.account, found.base_url) == ("def-mine", "https://w.example")
    assert of_cluster("narval", tmp_path, "def-other").account == "def-other"
    monkeypatch.setenv("CC_CLUSTER", "fir")
    assert find_site(None, None, (), tmp_path).cluster.name == "fir"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "nowhere"], "--profile: found no profile in nowhere, expected a folder such as profiles/narval"),
        ([], "config: cluster: found nothing, and no $CC_CLUSTER"),
        (
            ["--profile", str(ROOT / "profiles" / "local"), "--probe"],
            "--probe: found cluster local, which has no Slurm",
        ),
    ],
)
def test_wrong_usage_is_one_line(words, said, capfd):
    assert main(["doctor", *words]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line


# Slurm.


def test_a_slurm_as_the_facts_say_differs_in_nothing(programs, site):
    programs("scontrol", f"cat <<'end'\n{CONFIG}end")
    programs("sinfo", f"[ -n \"$SINFO_PARTITION\" ] || cat <<'end'\n{PARTITIONS}end")
    found = list(scheduler.scheduler(site))
    assert {finding.mark for finding in found} == {"ok", "info"}
    assert one(found, "default partition").found == "cpubase_bycore_b1"
    assert one(found, "MinJobAge").found == "300 sec"
    assert one(found, "GPU a100").found == "4 on a node of 48 cores and 498G"
    assert one(found, "GPU a100_2g.10gb").found == "2 on a node of 48 cores and 498G"


def test_what_differs_from_the_facts_is_named(programs, site):
    programs("scontrol", f"cat <<'end'\n{CONFIG.replace('300', '60')}end")
    listed = PARTITIONS.replace("7-00:00:00", "1-00:00:00").replace("a100_3g.20gb", "b200")
    listed = listed.replace("48|510000|gpu:a100:4", "64|260000|gpu:a100:8")
    # A Slurm on which no partition cannot be named.
    programs("sinfo", f"cat <<'end'\n{listed.replace('*', '')}end")
    found = list(scheduler.scheduler(site))
    assert {what: mark for what, mark in marks(found).items() if mark not in {"ok", "info"}} == {
        "MinJobAge": "problem",
        "a job names no partition": "problem",
        "longest time limit of a partition": "differs",
        "GPU a100": "differs",
        "GPU a100_3g.20gb": "differs",
        "other GPUs": "differs",
    }
    assert one(found, "MinJobAge").todo.endswith("to 20 in the profile")
    assert one(found, "longest time limit of a partition").expected == "7d"
    assert one(found, "other GPUs").found == "b200"
    assert one(found, "GPU a100").found == "8 on a node of 64 cores and 254G"
    assert one(found, "GPU a100").expected == "4 on a node, 48 cores, 498G of memory"
    assert one(found, "default partition").found == "none is marked (*) by sinfo"


def test_without_slurm_that_is_the_line(programs, site):
    (found,) = run_checks([Check("Slurm", 10, partial(scheduler.scheduler, site))])
    assert (found.mark, found.found) == ("unknown", "there is no scontrol on the PATH")


# Accounts and submission.


@pytest.fixture
def sbatch(programs, tmp_path, monkeypatch):
    """Stubs of sacctmgr and sbatch, which refuses what is over 10080 minutes; give what sbatch was asked."""
    monkeypatch.setattr(submission, "PAUSE", 0.0)
    programs(
        "sacctmgr",
        "case \"$*\" in *qos*) printf '%s\\n' '|' '1000|';; *format=Max*) printf '|\\n|\\n';; "
        "*) printf '%s\\n' def-me_cpu def-me_gpu rrg-you_gpu;; esac",
    )
    programs(
        "sbatch",
        f"""
        echo "$WANDB_API_KEY|$*" >>"$FOLDER/asked"
        case "$*" in *--time=10081*) echo '{REFUSED}' >&2; exit 1;; esac
        echo '{TESTED}' >&2""",
    )
    return tmp_path / "asked"


def test_jobs_are_tested_and_none_is_submitted(sbatch, site, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    found = list(submission.accounts(replace(site, account="def-me")))
    assert {finding.mark for finding in found} == {"ok"}, found
    assert one(found, "yours").found == "def-me_cpu, def-me_gpu, rrg-you_gpu"
    assert one(found, "for GPU jobs").found == "def-me_gpu"
    assert one(found, "limits of a user's jobs").found == "1000"
    asked = [line.partition("|") for line in sbatch.read_text().splitlines()]
    assert len(asked) == 4
    assert all(key == "" and "--test-only" in words for key, _, words in asked)
    assert "--account=def-me_cpu" in asked[0][2]
    assert "--account=def-me_gpu --mem=1G --gpus=a100:1" in asked[1][2]
    assert one(found, "a longer job, 7d1m").found.startswith("refused, as expected")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("narval", "--gpus=a100:1"),
        ("tamia", "--gpus=h100:4"),
        ("killarney", "--gres=gpu:l40s:1"),
        ("trillium", "--gpus-per-node=1"),
        ("beluga", "--gpus-per-node=v100:1"),
    ],
)
def test_a_gpu_is_asked_for_as_the_facts_say_that_the_site_takes_it(name, option, tmp_path):
    assert submission.gpu_option(of_cluster(name, tmp_path)) == [option]


def test_an_account_that_is_not_the_users_is_a_problem_before_anything_is_tested(sbatch, site):
    found = list(submission.accounts(replace(site, account="def-nobody")))
    assert marks(found)["for CPU jobs"] == "problem"
    assert marks(found)["a CPU job of 5m"] == "unknown"
    assert not sbatch.exists()


def test_what_slurm_refuses_and_what_it_takes_against_the_facts_are_named(sbatch, programs, tmp_path):
    # Trillium refuses --mem, and takes 24 h; this one neither.
    programs("sbatch", f"case \"$*\" in *--time=1440*) echo '{REFUSED}' >&2; exit 1;; esac; echo '{TESTED}'")
    found = list(submission.accounts(of_cluster("trillium", tmp_path)))
    assert marks(found)["the longest job, 1d"] == "problem"
    assert one(found, "the longest job, 1d").found == f"failed (exit code 1) and said: {REFUSED}"
    assert marks(found)["a longer job, 1d1m"] == "differs"
    assert marks(found)["a shorter job, 14m"] == "differs"
    assert marks(found)["a job that says --mem"] == "differs"
    assert one(found, "limits of a user's jobs").expected == "500 among them"
    assert one(found, "a CPU job of 15m").mark == "ok"


# Modules, Python and wheels.


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
    listed = [*project["dependencies"], *project["optional-dependencies"]["slurm"]]
    needed = dict(line.split(">=") for line in listed if ">=" in line)
    assert {name: needed[name] for name in software.INSTALLED} == software.INSTALLED
    assert software.WANTED["snakemake"] == needed["snakemake"]


# Room and locks.


def test_room_is_said_for_each_folder_and_little_of_it_is_a_problem(programs, tmp_path, monkeypatch):
    programs(
        "diskusage_report",
        "echo '   Description         Space   # of files'; echo ' /home (user jdoe)  6300MB/50GB  61k/500k'",
    )
    monkeypatch.setenv("SCRATCH", str(tmp_path / "gone"))
    found = list(storage.storage(tmp_path))
    assert marks(found)["working folder"] == "ok"
    assert re.search(r"[\d,.]+ GB of [\d,.]+ GB free, [\d,]+ inodes free", one(found, "working folder").found)
    assert marks(found)["$SCRATCH"] == "problem"
    assert found[-1].found == "/home (user jdoe) 6300MB/50GB 61k/500k"
    monkeypatch.setattr(storage, "LEAST_INODES", 10**12)
    assert storage.room("storage", "here", tmp_path).mark == "problem"


def test_locks_of_this_machine_hold(tmp_path):
    found = list(locks.locks(tmp_path))
    assert [finding.mark for finding in found] == ["info", "ok", "ok", "ok"]
    assert not list(tmp_path.glob(".runferry-doctor-*"))


def _no_lock(handle, how):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.mark.parametrize(
    ("lock", "mark", "said"),
    [(lambda _handle, _how: None, "problem", "both have it at once"), (_no_lock, "differs", "none: Function not")],
)
def test_locks_that_do_not_hold_are_named(tmp_path, lock, mark, said):
    found = locks._between_processes(tmp_path / "file", "flock", lock)
    assert found.mark == mark
    assert found.found.startswith(said)


def test_a_lock_that_another_process_holds_is_seen(tmp_path):
    with locks.held(tmp_path / "lock"):
        assert locks.other_takes(tmp_path / "lock") == "refused"
    assert locks.other_takes(tmp_path / "lock") == "taken"


# W&B's server.


@pytest.fixture(scope="module")
def server():
    with running(key=KEY) as standin:
        yield standin


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


def test_a_closed_port_and_a_proxy_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert reach(f"http://127.0.0.1:{port}").how == "Connection refused"
    # This machine is asked itself; anything else goes through the proxy, which nobody is at.
    proxied = reach("http://192.0.2.1", {"http_proxy": f"http://127.0.0.1:{port}"})
    assert (proxied.reached, proxied.how) == (False, "Connection refused")


# What is shown.


def test_nothing_secret_is_shown_whatever_a_program_prints(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "an-odd key")
    monkeypatch.setattr("getpass.getuser", lambda: "jdoe")
    given = f"an-odd key {KEY} local-{KEY} wandb_v1_{'aB3' * 20} http://jdoe:pw@proxy /home/jdoe/x def-jdoe2 jdoes"
    assert Redaction().text(given) == (
        "<removed> <removed> <removed> <removed> http://<removed>@proxy /home/<user>/x def-jdoe2 jdoes"
    )


def test_a_line_says_in_a_word_what_is_not_as_expected():
    found = [Finding("a", "b", "ok", "c"), Finding("a", "d", "differs", "e " * 80, "f", "g")]
    lines = list(screen_lines(found))
    assert lines[0] == "ok       a: b: c"
    assert lines[1].startswith("differs  a: d: e e")
    assert lines[-1].endswith("expected f; -> g")
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize(("mark", "code"), [("ok", 0), ("info", 0), ("differs", 1), ("problem", 1), ("unknown", 1)])
def test_the_exit_code_is_0_only_where_all_is_as_expected(mark, code, tmp_path):
    assert DoctorRecord("narval", [], None, [Finding("a", "b", mark, "c")], probed=False).exit_code == code


def doctor(*words, **variables):
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "doctor", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, time.monotonic() - begin


def test_the_whole_writes_a_file_each_time_and_shows_the_same_as_json(server, tmp_path):
    profile = ["--profile", str(ROOT / "profiles" / "local")]
    variables = {**server.environment, "PIP_CONFIG_FILE": os.devnull}
    done, _ = doctor(*profile, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    again, _ = doctor(*profile, "--json", **variables)
    record = json.loads(again.stdout)
    assert record["cluster"] == "local"
    assert {"storage", "locks", "W&B"} <= {finding["about"] for finding in record["findings"]}
    first, second = sorted(tmp_path.glob("runferry-doctor-local-*.md"), key=lambda file: len(file.name))
    assert second.name == f"{first.stem}-2.md"
    text = first.read_text()
    assert "| ok | W&B: key | the one from WANDB_API_KEY is valid |" in text
    assert "## Not as expected\n\nNothing.\n" in text
    assert KEY not in done.stdout + done.stderr + again.stdout + again.stderr + text
    named, _ = doctor(*profile, "--output", "report.json", **variables)
    assert named.returncode == 0
    assert json.loads((tmp_path / "report.json").read_text()).keys() == record.keys()


def test_each_check_has_less_than_a_minute(site):
    assert len(login_checks(site, [])) == 8
    assert all(check.seconds < 60 for check in login_checks(site, []))


def test_programs_that_hang_are_lines_and_keep_nothing_else_waiting(programs, site, monkeypatch):
    for name in ("scontrol", "sinfo", "sacctmgr", "sbatch", "diskusage_report", "avail_wheels"):
        programs(name, "sleep 100")
    monkeypatch.setenv("BASH_FUNC_module%%", "() { sleep 100; }")
    checks = [replace(check, seconds=2.0) for check in login_checks(site, []) if check.about != "W&B"]
    begin = time.monotonic()
    found = run_checks(checks)
    assert time.monotonic() - begin < 5
    assert {finding.about for finding in found if finding.found == "no answer within 2 s"} == {
        *("modules", "wheelhouse", "Slurm", "accounts", "storage")
    }
    assert {"ok"} < {finding.mark for finding in found if finding.about in {"storage", "locks"}}


def test_a_black_hole_in_the_servers_place_costs_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        variables = {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "PIP_CONFIG_FILE": os.devnull}
        done, seconds = doctor("--profile", str(ROOT / "profiles" / "local"), "--json", **variables)
    assert seconds < 30
    assert done.returncode == 1
    said = {(finding["about"], finding["found"]) for finding in json.loads(done.stdout)["findings"]}
    assert ("W&B", f"{url}: no answer within 8 s") in said
    assert KEY not in done.stdout + done.stderr


# A compute node.


@pytest.mark.parametrize(
    ("name", "url", "with_module", "expected"),
    [
        ("narval", "server", False, False),
        ("narval", "server", True, True),
        ("narval", "https://storage.googleapis.com", True, False),
        ("trillium", "server", False, False),
        ("fir", "server", False, True),
        ("fir", "https://pypi.org", False, None),
    ],
)
def test_what_a_node_reaches_is_compared_with_the_page_on_wandb(tmp_path, name, url, with_module, expected):
    cluster = of_cluster(name, tmp_path).cluster
    assert node._expected(cluster, url, "server", with_module=with_module) is expected


def test_a_nodes_disk_is_compared_with_what_the_site_says(tmp_path, site, monkeypatch):
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    small = list(node._local_disk(replace(site.cluster, node_local="9000T")))
    assert marks(small)["$SLURM_TMPDIR, its size"] == "differs"
    large = list(node._local_disk(replace(site.cluster, node_local="0.1G; H100 800G")))
    assert marks(large)["$SLURM_TMPDIR, its size"] == "ok"
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "gone"))
    assert [finding.mark for finding in node._local_disk(site.cluster)] == ["differs"]


def test_a_nodes_gpus_are_counted_and_their_numbers_left_out(programs, monkeypatch):
    programs("nvidia-smi", "echo 'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-6d6)'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert [(finding.mark, finding.found) for finding in node._gpus(1)] == [
        ("ok", "0"),
        ("info", "GPU 0: NVIDIA A100-SXM4-40GB"),
    ]
    assert next(iter(node._gpus(4))).mark == "differs"


def test_signals_that_came_and_those_that_did_not_are_told_with_their_times():
    seen = {"end": 1300.0, "last": 1331.0, "signals": {"SIGUSR1": 1120.0, "SIGTERM": 1301.0}}
    warned, ended = _signals(seen, 120, to_the_end=True)
    assert (warned.mark, warned.found) == ("ok", "came 180 s before the time limit")
    assert (ended.mark, ended.found) == ("ok", "came 1 s after the time limit; the job was alive for 30 s more")
    assert [one.mark for one in _signals({**seen, "signals": {}}, 120, to_the_end=True)] == ["differs", "differs"]

"""A Slurm compared with the facts of the cluster."""

from __future__ import annotations

from functools import partial

from runferry.doctor import scheduler
from runferry.doctor.checking import Check, run_checks
from support.doctored import marks, one

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

"""Which of several jobs of a run starts it."""

from __future__ import annotations

import subprocess
import sys
import time

from runferry.runs import first_start
from runferry.runs.folder import RunFolder

CLAIM = """
import sys, time
from pathlib import Path
from runferry.runs.first_start import claim
from runferry.runs.folder import RunFolder
folder, race, job, when = RunFolder(Path(sys.argv[1])), sys.argv[2], sys.argv[3], float(sys.argv[4])
time.sleep(max(0, when - time.time()))
print(claim(folder, race, job))
"""


def test_of_many_jobs_at_the_same_moment_one_has_the_start(tmp_path):
    folder = RunFolder(tmp_path)
    race = first_start.begin_race(folder)
    when = str(time.time() + 2.0)
    claims = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path, race, str(job), when], stdout=subprocess.PIPE, text=True
        )
        for job in range(8)
    ]
    said = [claim.communicate(timeout=60)[0].strip() for claim in claims]
    assert sorted(said) == ["False"] * 7 + ["True"]
    assert first_start.claimed_by(folder, race) == str(said.index("True"))


def test_a_job_that_is_requeued_keeps_its_claim_and_one_that_lost_stays_a_loser(tmp_path):
    folder = RunFolder(tmp_path)
    race = first_start.begin_race(folder)
    assert first_start.claimed_by(folder, race) is None
    assert [first_start.claim(folder, race, job) for job in ("7", "8", "7", "8")] == [True, False, True, False]


def test_a_late_job_of_an_earlier_race_finds_that_one_claimed_and_the_next_race_is_free(tmp_path):
    folder = RunFolder(tmp_path)
    before = first_start.begin_race(folder)
    first_start.claim(folder, before, "7")
    now = first_start.begin_race(folder)
    assert first_start.current_race(folder) == now != before
    assert not first_start.claim(folder, before, "8")
    assert first_start.claim(folder, now, "9")
    first_start.forget_race(folder)
    assert first_start.current_race(folder) is None
    assert folder.attempt_numbers() == []

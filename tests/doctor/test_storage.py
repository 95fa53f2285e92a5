"""The room of each folder."""

from __future__ import annotations

import re

from runferry.doctor import storage
from support.doctored import marks, one


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

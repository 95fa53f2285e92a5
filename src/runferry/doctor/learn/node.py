"""Look at a compute node of a site that is not known, in the job that `runferry doctor --learn --probe` submits.

`python -m runferry.doctor.learn.node FILE URL` writes what it sees to FILE, as JSON.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.reach import reach
from runferry.system.files import write_json


def main(file: Path, url: str) -> None:
    """Write whether an address can be reached, the node's own disk, and its GPUs' memory."""
    place = os.environ.get("SLURM_TMPDIR")
    disk = os.statvfs(place) if place and Path(place).is_dir() else None
    try:
        listed = answer_of("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", seconds=15)
    except NoAnswerError:
        listed = ""
    answer = reach(url, os.environ)
    write_json(
        file,
        {
            "reached": answer.reached,
            "how": answer.how,
            "disk": disk.f_blocks * disk.f_frsize if disk else None,
            "gpu_memory": [int(line) for line in listed.split() if line.isdigit()],
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

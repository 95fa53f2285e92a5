"""Print the checkpoint with the smallest loss among runs that are trained; the arguments are their trained.json."""

import json
import sys
from pathlib import Path


def main() -> None:
    runs = [Path(file).parent for file in sys.argv[1:]]
    checkpoints = {str(run): json.loads((run / "checkpoints" / "last.json").read_text()) for run in runs}
    best = min(checkpoints, key=lambda run: checkpoints[run]["loss"])
    print(json.dumps({"run": best, **checkpoints[best]}))


if __name__ == "__main__":
    main()

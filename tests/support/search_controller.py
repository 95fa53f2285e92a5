"""A controller of a search, for a test that kills it: asks for points, and ends their runs in an order of its own.

What it does next follows from what is on disk alone, as with the real one. Called with the folder and how many points.
"""

from __future__ import annotations

import sys
from pathlib import Path

from support.searches import Search, sweep_over_x

PLACES = 3


def main(folder: Path, count: int) -> None:
    """Go on with the search in `folder` until all its points have ended."""
    search = Search(folder, sweep_over_x(), count=count, parallel=PLACES)
    while True:
        points = search.points
        under_way = [point for point in points if not search.place_file(point.place).exists()]
        if len(under_way) < PLACES and len(points) < count:
            search.ask(len(points) + 1)
        elif under_way:
            ended = min(under_way, key=lambda point: point.parameters["x"])
            x = ended.parameters["x"]
            search.end(ended.place, [{"loss": (x - 1) ** 2}], "failed" if x > 2 else "finished")
        else:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

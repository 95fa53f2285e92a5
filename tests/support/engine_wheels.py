"""Asks the package index whether Optuna, Ax and all that they need have wheels for every Python that runferry takes.

    PYTHONPATH=tests python -m support.engine_wheels

Prints a line for each engine and Python; the exit code is 1 where one has none. No test: it leaves the machine.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ENGINES = ("optuna", "ax-platform")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def chosen_for(engine: str, version: str, folder: Path) -> list[str] | None:
    """Return the wheels that pip would install for a Python, by their names; None where it finds none for something."""
    report = folder / f"{engine}-{version}.json"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
    command += ["--report", str(report), "--target", str(folder / "none"), "--only-binary=:all:"]
    done = subprocess.run([*command, "--python-version", version, engine], check=False)
    if done.returncode:
        return None
    return [one["download_info"]["url"].rpartition("/")[2] for one in json.loads(report.read_text())["install"]]


def main() -> int:
    """Ask for each Python."""
    with tempfile.TemporaryDirectory() as folder:
        every = True
        for engine, version in itertools.product(ENGINES, PYTHONS):
            wheels = chosen_for(engine, version, Path(folder))
            every = every and wheels is not None
            print(f"{engine}, {version}: {', '.join(wheels) if wheels else 'not all have wheels'}", flush=True)
    return 0 if every else 1


if __name__ == "__main__":
    sys.exit(main())

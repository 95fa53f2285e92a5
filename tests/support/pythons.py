"""Pythons with packages of a version, as training environments have them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from filelock import FileLock

from support.paths import ROOT, WHEELS


def python_with_wandb(version: str) -> Path:
    if version == installed_version("wandb"):
        return Path(sys.executable)
    return python_with("wandb", version)


def python_with(package: str, version: str) -> Path:
    folder = ROOT / ".venv" / f"{package}-{version}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    folder.parent.mkdir(exist_ok=True)
    # Several test processes may want the same one at the same time.
    with FileLock(f"{folder}.lock"):
        if not complete.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            # From the wheels that `make setup` downloaded; without it, from the package index.
            source = ["--no-index", f"--find-links={WHEELS}"] if (WHEELS / ".ready").exists() else []
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *source, package if version == "newest" else f"{package}=={version}"], check=True)
            complete.touch()
    return python

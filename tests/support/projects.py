"""A project of a user's: a folder with a config of its own, and Snakemake called in it as a person would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from support.paths import ROOT


@dataclass
class Project:
    """A working folder; the workflow and the profile are the checkout's."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def configure(self, experiments: dict, **rest) -> None:
        config = {"wandb": {"project": "tests"}, "experiments": experiments, **rest}
        self.write("config/config.yaml", yaml.safe_dump(config, allow_unicode=True, sort_keys=False))

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def snakemake(self, *arguments: str, snakefile: Path | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(*self.snakemake_command(snakefile), *arguments)

    def snakemake_command(self, snakefile: Path | None = None, *, profile: bool = True) -> list[str]:
        snakefile = snakefile or ROOT / "workflow" / "Snakefile"
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)]
        return [*command, "--profile", str(ROOT / "profiles" / "local")] if profile else command

    def runferry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "runferry", *arguments)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def start(self, command: list[str], output: IO[str] | int, **options: Any) -> subprocess.Popen[Any]:
        """A command in the background, all that it says to `output`; Ctrl-C reaches it however tests were started."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A test runner in the background of a shell has SIGINT ignored, and would pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            **options,
        )

    def planned(self, *arguments: str, snakefile: Path | None = None) -> dict[str, int]:
        """Rule -> number of jobs that a dry run would do."""
        done = self.snakemake("-n", *arguments, snakefile=snakefile)
        assert done.returncode == 0, done.stderr
        table = re.search(r"^-+ +-+\n((?:\S+ +\d+\n)+)", done.stdout + done.stderr, re.MULTILINE)
        rows = [line.split() for line in table[1].splitlines()] if table else []
        return {rule: int(count) for rule, count in rows if rule != "total"}

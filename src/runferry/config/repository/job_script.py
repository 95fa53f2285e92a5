"""Read a user's job script: what it asks Slurm for, the modules it loads, the command that it runs."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.repository.shell import node_text
from runferry.errors import ConfigError
from runferry.system.text import time_in_words

if TYPE_CHECKING:
    from collections.abc import Collection

_SHORT = {
    "t": "time",
    "c": "cpus-per-task",
    "n": "ntasks",
    "N": "nodes",
    "A": "account",
    "a": "array",
    "G": "gpus",
    "J": "job-name",
    "o": "output",
    "e": "error",
    "p": "partition",
    "q": "qos",
    "C": "constraint",
    "D": "chdir",
}
_TAKEN = frozenset(
    {
        *("time", "cpus-per-task", "ntasks", "nodes", "account", "gpus", "gres", "gpus-per-node", "gpus-per-task"),
        *("ntasks-per-node", "mem", "mem-per-cpu", "mem-per-gpu"),
    }
)
_AROUND = frozenset({"srun", "time", "exec", "nohup", "mpirun", "apptainer", "singularity"})
# Each run has its own log and name; an array's indices become values of a parameter.
_RUNFERRYS = frozenset({"output", "error", "job-name", "array", "open-mode", "export"})
_STARTERS = ("python", "python3", "torchrun", "accelerate", "deepspeed", "uv")
# What runferry does itself, or what is no part of the training.
_DONE_BY_RUNFERRY = re.compile(
    r"^(virtualenv|python3? -m (venv|virtualenv|pip)|pip3? |source |\. |deactivate|wandb (offline|sync|login|online)"
    r"|conda |mamba |module |ml |echo |date|hostname|nvidia-smi|set |cd |fi$|then$|else$|if |pwd|sleep )"
)
# Never written down, or set by runferry itself.
_OWN_VARIABLES = re.compile(r"^(WANDB_|SLURM_|SBATCH_|COMET_|.*(KEY|TOKEN|SECRET|PASSWORD))")


@dataclass
class JobScript:
    """A job script as far as a config can say the same."""

    file: Path
    options: dict[str, str] = field(default_factory=dict[str, str])
    """Of `#SBATCH`, by their long names, without dashes."""
    modules: list[str] = field(default_factory=list[str])
    commands: list[tuple[int, str, list[str]]] = field(default_factory=list[tuple[int, str, list[str]]])
    """Those that start Python: number of the line, the line, and its words."""
    installed: list[str] = field(default_factory=list[str])
    """What it has pip install: lines of a requirements file."""
    venv: str | None = None
    """The folder of the virtual environment that it activates."""
    container: str | None = None
    """The image that it runs the command in."""
    variables: dict[str, str] = field(default_factory=dict[str, str])
    shell: dict[str, str] = field(default_factory=dict[str, str])
    """Its own variables that are not exported."""
    staged: list[Path] = field(default_factory=list[Path])
    """Files and folders that it copies to `$SLURM_TMPDIR`, under their names."""
    left: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """The lines that no key of the config says: number and text."""

    @property
    def account(self) -> str | None:
        """Return the account that it names."""
        return self.options.get("account")

    def command(self, scripts: Collection[str]) -> list[str]:
        """Return the command that trains: the one with one of these scripts, else the last; the others are left."""
        chosen = next((one for one in self.commands if set(one[2]) & set(scripts)), self.commands[-1])
        self.left += [(number, line) for number, line, _ in self.commands if number != chosen[0]]
        self.left.sort()
        return chosen[2]

    def resources(self) -> dict[str, object]:
        """Return what it asks for in the words of the config's `resources`."""
        gpus, gpu = self._gpus()
        nodes = _number(self.options.get("nodes"), 1)
        tasks = _number(self.options.get("ntasks-per-node"), 0) or -(-_number(self.options.get("ntasks"), 1) // nodes)
        cores = tasks * _number(self.options.get("cpus-per-task"), 1)
        asked: dict[str, object] = {"nodes": nodes} if nodes > 1 else {}
        asked |= {"tasks": tasks} if tasks > 1 else {}
        asked |= {"gpus": gpus}
        asked |= {"gpu": gpu} if gpu else {}
        asked |= {"cores": cores} if {"cpus-per-task", "ntasks", "ntasks-per-node"} & set(self.options) else {}
        memory = self._memory(cores, gpus)
        asked |= {"memory": memory} if memory else {}
        time = config_time(self.options["time"]) if "time" in self.options else None
        return asked | ({"time": time} if time else {})

    def _gpus(self) -> tuple[int, str | None]:
        per_task = "gpus-per-node" not in self.options and "gpus-per-task" in self.options
        given = [self.options.get(name) for name in ("gpus-per-node", "gpus", "gpus-per-task", "gres")]
        for text in filter(None, given):
            if match := re.fullmatch(r"(?:gres/)?(?:gpu:)?(?:([A-Za-z][\w.]*):)?(\d+)", text):
                number = int(match[2]) * (_number(self.options.get("ntasks"), 1) if per_task else 1)
                return number, match[1]
            if text == "gpu" or re.fullmatch(r"(gpu:)?[a-z]\w*[\w.]*", text):
                return 1, text.removeprefix("gpu:") if text != "gpu" else None
        return 0, None

    def _memory(self, cores: int, gpus: int) -> str | None:
        for name, times in (("mem", 1), ("mem-per-cpu", cores), ("mem-per-gpu", max(1, gpus))):
            if match := re.fullmatch(r"(\d+)([KMGT]?)B?", self.options.get(name, "")):
                # 0 is the whole node's, which the cluster's default comes nearest to.
                amount = int(match[1]) * times
                mebibytes = -(-amount // 1024) if match[2] == "K" else amount
                unit = "M" if match[2] in {"", "K"} else match[2]
                return f"{mebibytes}{unit}" if amount else None
        return None


def read_job_script(file: Path) -> JobScript:
    """Read a job script.

    Raises
    ------
    ConfigError
        When it cannot be read, or has no command that starts Python.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        message = f"--from-sbatch: found no file {file} that can be read ({error.strerror}), expected a job script"
        raise ConfigError(message) from error
    read = JobScript(file)
    for number, line in _lines(text):
        if directive := re.match(r"#SBATCH\s+(.*)", line):
            _read_directive(read, number, directive[1])
        elif line and not line.startswith("#"):
            _read_line(read, number, line)
    if not read.commands:
        message = f"--from-sbatch: {file}: found no line that starts Python, expected one such as `python train.py`"
        raise ConfigError(message)
    return read


def config_time(time: str) -> str | None:
    """Convert a time of `sbatch --time` to the config's words; None for one without end or that is none.

    Slurm reads `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours` and so on.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time)
    if match is None:
        return None
    days, first, second, third = (int(part) if part else None for part in match.groups())
    if days is not None:
        minutes = 1440 * days + 60 * (first or 0) + (second or 0) + bool(third)
    elif third is not None:
        minutes = 60 * (first or 0) + (second or 0) + bool(third)
    else:
        minutes = (first or 0) + bool(second)
    return time_in_words(minutes) if minutes else None


def _lines(text: str) -> list[tuple[int, str]]:
    """List the lines with their numbers, those that end in a backslash joined with the next."""
    found: list[tuple[int, str]] = []
    begun = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.endswith("\\") and not line.startswith("#"):
            begun += line[:-1] + " "
            continue
        found.append((number, (begun + line).strip()))
        begun = ""
    return found


def _read_directive(read: JobScript, number: int, text: str) -> None:
    words = shlex.split(text, comments=True)
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            value = value if has_value or not words or words[0].startswith("-") else words.pop(0)
        else:
            name = _SHORT.get(word[1:2], word)
            value = word[2:] or (words.pop(0) if words else "")
        read.options[name] = value
        if name not in _TAKEN and name not in _RUNFERRYS:
            read.left.append((number, f"#SBATCH {text}"))


def _read_line(read: JobScript, number: int, line: str) -> None:
    if loaded := re.match(r"(?:module\s+(?:load|add)|ml(?:\s+load)?)\s+([^#;&|]+)", line):
        read.modules += [name for name in loaded[1].split() if not name.startswith("-")]
    elif line.startswith("export "):
        _read_export(read, number, line)
    elif assigned := re.fullmatch(r"([A-Za-z_]\w*)=([^\s$`]+)", line):
        read.shell[assigned[1]] = assigned[2].strip("\"'")
    elif installing := re.match(r"(?:python3? -m )?pip3? install\s+([^#;&|]+)", line):
        read.installed += _installed(installing[1].split())
    elif activated := re.match(r"(?:source|\.)\s+(\S+)/bin/activate\b", line):
        read.venv = activated[1]
    elif copied := re.fullmatch(r"cp\s+((?:-\S+\s+)*)(.+?)\s+\"?\$\{?SLURM_TMPDIR\}?/?\.?\"?", line):
        sources = [Path(os.path.expandvars(word)).expanduser() for word in shlex.split(copied[2])]
        if all(source.exists() for source in sources):
            read.staged += sources
        else:
            read.left.append((number, line))
    elif (command := _command(line)) is not None:
        read.commands.append((number, line, command))
        read.container = read.container or next((word for word in shlex.split(line) if word.endswith(".sif")), None)
    elif not _DONE_BY_RUNFERRY.match(line):
        read.left.append((number, line))


def _command(line: str) -> list[str] | None:
    """Return the words of a line that starts Python, without srun, what it writes to and what follows."""
    if re.match(r"python3? -m (venv|virtualenv|pip)\b", line):
        return None
    try:
        # `2>&1` is not `2 > file`, which the lexer would not tell apart.
        line = re.sub(r"\s+[0-9&]?>>?\s*(&[0-9]|\S+)|\s+<\s*\S+", "", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return None
    end = next((place for place, word in enumerate(words) if re.fullmatch(r"[|&;<>]+", word)), len(words))
    words = words[:end]
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        words.pop(0)
    if words[:1] and words[0] in _AROUND:
        # Their own options may have values: up to the program that they start.
        start = next((place for place, word in enumerate(words) if word.rpartition("/")[2] in _STARTERS), len(words))
        words = words[start:]
    if not words or words[0].rpartition("/")[2] not in _STARTERS:
        return None
    words[0] = words[0].rpartition("/")[2].replace("python3", "python")
    # The environment is there already.
    words = words[2:] if words[:2] == ["uv", "run"] else words
    return words if len(words) > 1 else None


def _read_export(read: JobScript, number: int, line: str) -> None:
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError:
        words = [line]
    for word in words:
        name, has_value, value = word.partition("=")
        text = node_text(value)
        if _OWN_VARIABLES.match(name) or not has_value:
            continue
        if text is None:
            read.left.append((number, line))
        else:
            read.variables[name] = text


def _installed(words: list[str]) -> list[str]:
    """Return what `pip install` is given as lines of a requirements file; pip itself is left out."""
    lines: list[str] = []
    while words:
        word = words.pop(0).strip("\"'")
        if word in {"-r", "--requirement"} and words:
            lines.append(f"-r {words.pop(0)}")
        elif not word.startswith("-") and word not in {"pip", "setuptools", "wheel"}:
            lines.append(word)
    return lines


def _number(text: str | None, otherwise: int) -> int:
    match = re.match(r"\d+", text or "")
    return int(match[0]) if match else otherwise

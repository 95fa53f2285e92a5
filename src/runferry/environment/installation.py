"""Making a virtual environment with virtualenv and pip, and saying in one line why it could not be made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from runferry.errors import PackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runferry.environment.interpreter import Interpreter
    from runferry.environment.record import Specification

_COMPILING_PROCESSES = 4  # a login node is shared, and `compileall -j0` would take all of its cores
_KEPT_LINES = 400  # of pip's output; what it says about a failure is at its end


@dataclass(frozen=True)
class Installation:
    """A virtual environment under construction, in the folder `tree`."""

    tree: Path
    """By its real path; it does not exist before `create`."""
    variables: Mapping[str, str]
    """What the commands inherit (see `runferry.environment.interpreter.variables_for_build`)."""
    log: IO[str]
    """Gets the commands' output line by line, while they run."""

    def create(self, interpreter: Interpreter) -> None:
        """Make an empty virtual environment; nothing is downloaded.

        Raises
        ------
        PackingError
            With what virtualenv said last.
        """
        # -P: no module of the working directory is taken for one of virtualenv's.
        command = [sys.executable, "-P", "-m", "virtualenv", "--no-download", "--no-periodic-update", "--symlinks"]
        # Activation for bash only, because it is the one that can be moved (see `runferry.environment.relocate`).
        command += ["--activators", "bash", "-p", interpreter.path, str(self.tree)]
        # Where this process found virtualenv; the modules' PYTHONPATH is for the Python that they bring.
        variables = {**self.variables, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        lines, code = self._run(command, variables)
        if code != 0:
            said = next((line for line in reversed(lines) if line), f"exit code {code}")
            message = f"cannot make a virtual environment with {interpreter.path}: {said}"
            raise PackingError(message)

    @property
    def folders(self) -> list[Path]:
        """The folders of packages; `lib64` is a link to `lib` on some systems and a folder of its own on others."""
        return sorted({folder.resolve() for folder in self.tree.glob("lib*/python3*/site-packages")})

    def install(self, specification: Specification) -> None:
        """Install the requirements, without compiling them.

        Raises
        ------
        PackingError
            With the requirement that was not found, or what else pip failed at, and what to do.
        """
        command = [*self._pip(), "install", "--no-compile", "--no-input", "--disable-pip-version-check"]
        command += ["--no-index"] if specification.no_index else []
        command += ["--requirement", str(specification.requirements)]
        lines, code = self._run(command, self.variables)
        if code != 0:
            message = f"{specification.requirements}: {explain_failure(lines, specification.no_index)}"
            raise PackingError(message)

    def freeze(self) -> list[str]:
        """List what is installed as requirements, sorted; pip and setuptools are among them.

        Raises
        ------
        PackingError
            When pip fails.
        """
        command = [*self._pip(), "freeze", "--all", "--disable-pip-version-check"]
        for folder in self.folders:
            command += ["--path", str(folder)]
        answer = subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)
        self.log.write(answer.stderr)
        if answer.returncode != 0:
            message = f"pip freeze failed: {(answer.stderr.strip().splitlines() or ['no message'])[-1]}"
            raise PackingError(message)
        lines = [line.strip() for line in answer.stdout.splitlines()]
        # Options of a site's pip configuration are no packages; a comment stands above an editable install.
        packages = [line for line in lines if line and not line.startswith(("#", "-f", "--"))]
        return sorted(packages, key=lambda line: (line.lower(), line))

    def compile(self) -> None:
        """Byte-compile the packages, which each job would do again otherwise.

        The `.pyc` files are checked by modification time, Python's own default. Hashed ones that are not checked start
        no faster (measured), since Python looks at the source's status all the same, and they hide an edit made in
        place. A module that does not compile, of which some packages have one as a template, is left as it is.
        """
        processes = min(_COMPILING_PROCESSES, len(os.sched_getaffinity(0)))
        # -s: the path that is built in stays out of them; Python sets the right one when it loads them.
        # -f: also out of those that pip and this command wrote when they started. SOURCE_DATE_EPOCH changes the mode.
        options = ["-q", "-f", f"-j{processes}", "-s", str(self.tree), "--invalidation-mode", "timestamp"]
        command = [str(self.tree / "bin" / "python"), "-I", "-m", "compileall", *options, *map(str, self.folders)]
        self._run(command, self.variables)

    def _pip(self) -> list[str]:
        # Not `-m pip`: that puts the working directory first on sys.path, where a user may have a logging.py.
        return [str(self.tree / "bin" / "python"), str(self.tree / "bin" / "pip")]

    def _run(self, command: list[str], variables: Mapping[str, str]) -> tuple[list[str], int]:
        """Run a command, copy what it says to the log at once and return its last lines and exit code."""
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        # A session of its own: a Ctrl-C reaches this process alone, which then ends the command and what it started.
        with subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    self.log.write(line)
                    self.log.flush()
                    lines.append(line.rstrip())
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return list(lines), process.returncode


def _not_found(line: re.Match[str], no_index: bool) -> str:
    requirement = line["requirement"]
    where = "the site's wheelhouse" if no_index else "the package index"
    versions = [version for version in line["versions"].split(", ") if version != "none"]
    name = re.split(r"[^\w.-]", requirement)[0]
    asked = requirement.partition("==")[2]
    # pip names what it left out for its Python, above this line.
    for_others = (
        re.search(rf"[:;] {re.escape(asked)} Requires-Python (?P<python>[^;\n]+)", line.string) if asked else None
    )
    if for_others:
        return (
            f"{requirement} needs Python {for_others['python']}; change environment.python or ask for another version"
        )
    if versions:
        newest = ", ".join(versions[-5:])
        return f"{requirement} is not in {where}, which has {name} {newest}, for this Python; ask for one of these"
    if "connection broken by" in line.string:
        return f"{requirement} was not found, because the package index cannot be reached from this machine"
    todo = "correct its name, or take what `avail_wheels` lists" if no_index else "correct its name"
    return f"{requirement} is not in {where} for this Python; {todo}"


# What pip says, and what it means for the person; the first that is found in its output counts.
_PIP_SAYS: list[tuple[re.Pattern[str], Callable[[re.Match[str], bool], str]]] = [
    (
        re.compile(r"No space left on device"),
        lambda _line, _no_index: (
            "the disk is full where the environment is built; set TMPDIR to a folder with more room"
        ),
    ),
    (
        re.compile(
            r"Could not find a version that satisfies the requirement (?P<requirement>[^\n(]+?) "
            r"(?:\(from .*\) )?\(from versions: (?P<versions>[^)]*)\)"
        ),
        _not_found,
    ),
    (
        re.compile(r"No matching distribution found for (?P<requirement>.+)"),
        lambda line, _no_index: f"no wheel found for {line['requirement']}; correct its name or version",
    ),
    (
        re.compile(r"ERROR: (?P<text>Cannot install .+ because these package versions have conflicting dependencies)"),
        lambda line, _no_index: f"{line['text']}; loosen one of them (the log lists what each of them asks for)",
    ),
    (
        re.compile(r"ERROR: (?P<text>Package .+ requires a different Python: .+)"),
        lambda line, _no_index: f"{line['text']}; change environment.python or the requirement",
    ),
    (
        re.compile(r"ERROR: (?P<text>Invalid requirement: .+|Could not open requirements file: .+)"),
        lambda line, _no_index: f"{line['text']}; correct the file",
    ),
    (
        re.compile(r"ERROR: (?P<text>Failed (?:to build|building) .+)"),
        lambda line, _no_index: (
            f"{line['text']}; ask for a version that comes as a wheel, or load the modules it needs"
        ),
    ),
]


def explain_failure(lines: list[str], no_index: bool) -> str:
    """Say in one line what pip's output `lines` complain of, and what to do about it."""
    output = "\n".join(lines)
    for pattern, explain in _PIP_SAYS:
        if line := pattern.search(output):
            return explain(line, no_index)
    errors = [line for line in lines if line.startswith("ERROR:")]
    said = (errors or [line for line in lines if line] or ["nothing"])[-1]
    return f"pip failed and said: {said.removeprefix('ERROR: ')}"

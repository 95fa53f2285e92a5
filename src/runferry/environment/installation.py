"""Make a virtual environment with virtualenv and pip, and explain in one line why it could not be made."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from runferry.environment.pins import origins_in
from runferry.environment.requirements import index_options
from runferry.environment.wheelhouse import names_in_wheelhouse, wheelhouse_folders
from runferry.errors import PackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runferry.environment.interpreter import Interpreter
    from runferry.environment.specification import Specification

_COMPILING_PROCESSES = 4  # a login node is shared, and `compileall -j0` would take all of its cores
_MOST_DOWNLOADS = 100  # of packages that a wheelhouse lacks; each takes another look by pip
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

    @property
    def downloads(self) -> Path:
        """Return the folder for wheels that the site's wheelhouse lacks, beside the tree."""
        return self.tree.parent / "downloads"

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
            message = f"expected a virtual environment to be made with {interpreter.path}, found: {said}"
            raise PackingError(message)

    @property
    def folders(self) -> list[Path]:
        """Return the folders of packages; `lib64` is a link to `lib` on some systems, a folder of its own on others."""
        return sorted({folder.resolve() for folder in self.tree.glob("lib*/python3*/site-packages")})

    def install(self, specification: Specification, python: str) -> dict[str, str]:
        """Install what is asked for, uncompiled, and return each package's origin (see `runferry.environment.pins`).

        With `index_allowed`, what the wheelhouse lacks is downloaded, one requirement after the other, and everything
        else is still the wheelhouse's: left to itself, pip would take a newer version of anything from the index.

        Parameters
        ----------
        python
            The version, like "3.11".

        Raises
        ------
        PackingError
            With the requirement that was not found, or what else pip failed at, and what to do.
        """
        arguments = ["--requirement", str(specification.source)]
        if specification.kind == "lock":
            arguments += ["--no-deps"]
        return self.install_arguments(arguments, specification, python)

    def install_arguments(self, arguments: list[str], specification: Specification, python: str) -> dict[str, str]:
        """Install the packages that `arguments` of pip name; otherwise as `install`."""
        report = self.downloads.parent / "report.json"
        command = [*self._pip(), "install", "--no-compile", "--no-input", "--disable-pip-version-check"]
        command += ["--report", str(report)]
        if specification.no_index:
            command += ["--no-index", "--find-links", str(self.downloads)]
            self.downloads.mkdir(exist_ok=True)
        for _ in range(_MOST_DOWNLOADS):
            lines, code = self._run([*command, *arguments], self.variables)
            if code == 0:
                self._refuse_unknown_extra(lines, specification)
                content: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
                return origins_in(content, wheelhouse_folders(self._pip(), self.variables), self.downloads)
            missing = missing_requirement(lines) if specification.no_index else None
            if missing is None or not specification.index_allowed:
                why = self._explain(lines, missing, specification, python)
                raise PackingError(f"{specification.source}: expected packages that can be installed, found: {why}")
            self._download(missing, specification)
        message = f"{specification.source}: expected most packages in the site's wheelhouse, found more than "
        message += f"{_MOST_DOWNLOADS} that are not there"
        raise PackingError(message)

    def wheel_of(self, project: Path, specification: Specification) -> Path:
        """Build the wheel of the package in the folder `project` and return its path.

        Raises
        ------
        PackingError
            When it cannot be built.
        """
        folder = self.downloads.parent / "own"
        command = [*self._pip(), "wheel", "--no-deps", "--no-input", "--disable-pip-version-check"]
        command += ["--wheel-dir", str(folder), *(["--no-index"] if specification.no_index else []), str(project)]
        lines, code = self._run(command, self.variables)
        if code != 0:
            why = explain_failure(lines, specification.no_index)
            raise PackingError(f"{specification.source}: expected packages that can be installed, found: {why}")
        return next(folder.glob("*.whl"))

    def _download(self, requirement: str, specification: Specification) -> None:
        self.log.write(f"{requirement} is not in the site's wheelhouse: downloading it\n")
        command = [*self._pip(), "wheel", "--no-deps", "--no-input", "--disable-pip-version-check"]
        command += ["--wheel-dir", str(self.downloads), requirement]
        if specification.kind in {"requirements", "lock"}:
            command += [word for option in index_options(specification.source) for word in option]
        # A site's configuration may say no-index for everything.
        lines, code = self._run(command, {**self.variables, "PIP_NO_INDEX": "0"})
        if code != 0:
            why = explain_failure(lines, no_index=False)
            raise PackingError(f"{specification.source}: expected packages that can be installed, found: {why}")

    def _explain(self, lines: list[str], missing: str | None, specification: Specification, python: str) -> str:
        said = explain_failure(lines, specification.no_index)
        if missing is None:
            return said
        names = names_in_wheelhouse(re.split(r"[^\w.-]", missing)[0], python, self.variables)
        listed = f"; `avail_wheels` lists {', '.join(names[-5:])}" if names else ""
        return f"{said}{listed}; or set environment.index: allowed, which downloads it here, on the login node"

    def _refuse_unknown_extra(self, lines: list[str], specification: Specification) -> None:
        for line in lines if specification.extras else []:
            if found := re.search(r"WARNING: (?P<package>.+) does not provide the extra '(?P<extra>[^']+)'", line):
                extra = found["extra"]
                if extra in specification.extras:
                    message = f"{specification.source}: found no extra {extra!r} in {found['package']}, expected one "
                    message += "that it has (environment.extras)"
                    raise PackingError(message)

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


_NOT_FOUND = re.compile(
    r"Could not find a version that satisfies the requirement (?P<requirement>[^\n(]+?) "
    r"(?:\(from .*\) )?\(from versions: (?P<versions>[^)]*)\)"
)
# What pip says, and what it means for the user; the first that is found in its output counts.
_PIP_SAYS: list[tuple[re.Pattern[str], Callable[[re.Match[str], bool], str]]] = [
    (
        re.compile(r"No space left on device"),
        lambda _line, _no_index: (
            "the disk is full where the environment is built; set TMPDIR to a folder with more room"
        ),
    ),
    (_NOT_FOUND, _not_found),
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
        re.compile(r"error: (?P<text>Multiple top-level (?:packages|modules) discovered in a flat-layout: \[[^\]]*\])"),
        lambda line, _no_index: (
            f"{line['text']}, so that setuptools does not know which is yours; name it in pyproject.toml: "
            "[tool.setuptools] packages = [...] (or py-modules), or move it below src/"
        ),
    ),
    (
        re.compile(
            r"(?:^|\n)[ |\u2502]*(?P<text>(?:fatal|ERROR: Repository not found|remote: Repository not found).*)"
        ),
        lambda line, _no_index: (
            f"git said: {line['text'].strip()}; correct the address, or let this machine read it unasked"
        ),
    ),
    (
        re.compile(r"ERROR: (?P<text>Failed (?:to build|building) .+)"),
        lambda line, _no_index: (
            f"{line['text']}; ask for a version that comes as a wheel, or load the modules it needs"
        ),
    ),
]


def missing_requirement(lines: list[str]) -> str | None:
    """Return the requirement that pip did not find; None when it failed at something else."""
    found = _NOT_FOUND.search("\n".join(lines))
    return found["requirement"] if found else None


def explain_failure(lines: list[str], no_index: bool) -> str:
    """Describe in one line the failure in pip's output `lines`, and what to do about it."""
    output = "\n".join(lines)
    for pattern, explain in _PIP_SAYS:
        if line := pattern.search(output):
            return explain(line, no_index)
    errors = [line for line in lines if line.startswith("ERROR:")]
    said = (errors or [line for line in lines if line] or ["nothing"])[-1]
    return f"pip failed and said: {said.removeprefix('ERROR: ')}"

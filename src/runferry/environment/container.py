"""Record an Apptainer image as the environment, and word the command that runs in it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runferry.errors import LaunchError, PackingError
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from runferry.environment.specification import Specification

FORMAT = 2
"""As an environment's record has it."""

# `-C` gives the container none of the launcher's variables but those that are given to it; these are what a training
# asks for beside what the launcher sets itself.
_PASSED = re.compile(
    r"^(WANDB|COMET|RUNFERRY|SLURM|CUDA|NVIDIA|NCCL|ROCR|HIP|OMP|MKL|OPENBLAS|MASTER|PYTHON)(_|[A-Z])|^(RANK|WORLD_SIZE|LOCAL_RANK)$"
)
# They are about this machine's Python and its files.
_NOT_PASSED = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "SLURM_TMPDIR", "WANDB_SERVICE"})


@dataclass(frozen=True)
class ContainerRecord:
    """The record of an image; a JSON file in results/environments/."""

    name: str
    """The record file's stem."""
    key: str
    """20 hexadecimal digits: of the image's hash and the modules."""
    image: str
    """Absolute path; a job reads it from there."""
    image_bytes: int
    sha256: str
    """Of the image; of a sandbox, which is a folder, none."""
    modules: tuple[str, ...]
    specification: str
    """`Specification.digest` of what was asked for."""
    built: str
    """ISO 8601 with offset, UTC."""
    kind: str = "container"
    format: int = FORMAT


def record_container(specification: Specification, record_file: Path) -> ContainerRecord:
    """Write the record of an image.

    Raises
    ------
    ConfigError
        When there is no such image.
    OSError
        When it cannot be read or the record cannot be written.
    """
    from runferry.environment.specification import check_source

    check_source("container", specification.source, "environment")
    digest = specification.digest()
    image = specification.source.resolve()
    sha256 = ""
    if image.is_file():
        with image.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    key = hashlib.sha256("\n".join([sha256 or str(image), *specification.modules]).encode()).hexdigest()[:20]
    record = ContainerRecord(
        name=record_file.stem,
        key=key,
        image=str(image),
        image_bytes=image.stat().st_size,
        sha256=sha256,
        modules=specification.modules,
        specification=digest,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_json(record_file, dataclasses.asdict(record))
    return record


def read_container(record_file: Path) -> ContainerRecord | None:
    """Read the record of an image; None for the record of a packed environment, or one that cannot be read.

    Raises
    ------
    PackingError
        When it was written by another version, or the image is gone or another.
    """
    try:
        content = read_json(record_file)
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or cast("dict[str, Any]", content).get("kind") != "container":
        return None
    values = cast("dict[str, Any]", content)
    if values.get("format") != FORMAT or set(values) != {field.name for field in dataclasses.fields(ContainerRecord)}:
        raise PackingError(
            f"{record_file}: found a file of another runferry version, expected format {FORMAT}; "
            "build the environment again"
        )
    values["modules"] = tuple(values["modules"])
    record = ContainerRecord(**values)
    image = Path(record.image)
    if not image.exists():
        raise PackingError(f"{image}: found no such image, expected the one that the environment was made of")
    if image.is_file() and image.stat().st_size != record.image_bytes:
        message = f"{image}: found another image, expected the one of {record_file.name}; build the environment again"
        raise PackingError(message)
    return record


@dataclass(frozen=True)
class Contained:
    """A command in a container: the words of `apptainer exec`, and the variables that it gets."""

    image: str
    scratch: Path
    """Node-local; the container's /tmp and its home are in there."""
    workdir: Path
    folders: Sequence[Path]
    """What the command reads and writes outside the container, at the same path inside."""
    gpu: bool

    def command(self, arguments: Sequence[str], search_path: str) -> list[str]:
        """Return the whole command, from `apptainer` to the last argument.

        Raises
        ------
        LaunchError
            When there is no `apptainer` on `search_path`.
        """
        program = shutil.which("apptainer", path=search_path)
        if program is None:
            message = "apptainer: found none, expected it on this node's PATH; load its module"
            message += " (environment.modules: [apptainer])"
            raise LaunchError(message)
        for folder in (self.workdir, *self.folders):
            if "," in str(folder) or ":" in str(folder):
                raise LaunchError(
                    f"{folder}: found a comma or colon, expected a path without, which can be bound into a container"
                )
        binds = dict.fromkeys(str(folder) for folder in (self.workdir, *self.folders))
        return [
            *(program, "exec", "-C", "-W", str(self.scratch), *(["--nv"] if self.gpu else [])),
            *(part for bind in binds for part in ("--bind", bind)),
            *("--pwd", str(self.workdir), self.image, *arguments),
        ]

    def variables(self, given: Mapping[str, str], own: Collection[str] = ()) -> dict[str, str]:
        """Return the variables of the `apptainer` process: `given`, and those that it passes to the command.

        They are named APPTAINERENV_*, so that no value stands on a command line. All of `own`, the names that the
        config gives, are passed, but one that `given` has for the container already.
        """
        passed = {name for name in given if _PASSED.match(name) and name not in _NOT_PASSED}
        passed |= {name for name in own if f"APPTAINERENV_{name}" not in given}
        return {**given, **{f"APPTAINERENV_{name}": text for name, text in given.items() if name in passed}}

"""Find what a repository says of its packages, and choose what its training environment is built from."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runferry.config.loading import load_yaml
from runferry.config.repository.scripts import python_files
from runferry.errors import ConfigError
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from runferry.config.repository.scripts import Script

WRITTEN = Path("config") / "requirements.txt"
"""The requirements file that is written where the repository has none that pip reads."""
_REQUIREMENTS = ("requirements.txt", "requirements/base.txt", "requirements/requirements.txt", "requirements.in")
_CONDA = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml", "env.yml")

# Conda's names of what PyPI calls otherwise; None for what is no Python package, or comes with one.
_PYPI_NAMES: dict[str, str | None] = {
    "pytorch": "torch",
    "pytorch-lightning": "pytorch-lightning",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "tensorflow-gpu": "tensorflow",
    "pytables": "tables",
    "matplotlib-base": "matplotlib",
    "faiss": "faiss-cpu",
    "huggingface_hub": "huggingface-hub",
    "python-graphviz": "graphviz",
    **dict.fromkeys(
        (
            *("python", "pip", "setuptools", "wheel", "cudatoolkit", "cuda", "cuda-toolkit", "cudnn", "pytorch-cuda"),
            *("pytorch-mutex", "mkl", "blas", "openblas", "libblas", "gcc", "gxx", "cmake", "make", "ninja", "git"),
            *("ffmpeg", "openssl", "zlib", "libgcc", "libgcc-ng", "libstdcxx-ng", "nccl", "openmpi", "cpuonly"),
        )
    ),
}
# Names of modules whose packages are called otherwise.
_PACKAGES = {
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "hydra": "hydra-core",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "pl_bolts": "lightning-bolts",
    "torch_geometric": "torch-geometric",
}
_HAS_WANDB = re.compile(r"^\s*wandb\b(?!-)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Packages:
    """The source of a training environment."""

    key: str
    """Of the config's `environment`: requirements or pyproject."""
    source: Path
    found: str
    """What was found, for the user."""
    lines: tuple[str, ...] = ()
    """Of the requirements file, where `source` has to be written."""
    left_out: tuple[str, ...] = ()
    """Packages that pip does not have, as far as that is known."""
    notes: tuple[str, ...] = ()
    scripts: dict[str, str] = field(default_factory=dict[str, str])
    """The commands that the project installs: name -> module."""


def find_packages(folder: Path, script: Script) -> Packages:
    """Choose what the training environment of a repository is built from.

    Raises
    ------
    ConfigError
        When a file that says it cannot be read.
    """
    project = _project(folder / "pyproject.toml")
    requirements = next((Path(name) for name in _REQUIREMENTS if (folder / name).is_file()), None)
    conda = next((Path(name) for name in _CONDA if (folder / name).is_file()), None)
    if project and (_is_package(folder, project) or not requirements):
        return _of_project(folder, project)
    if requirements:
        return _of_requirements(folder, requirements)
    if conda:
        return _of_conda(folder, conda)
    if (folder / "setup.py").is_file():
        lines = ("# The package itself, from its setup.py.", "..", "wandb")
        return Packages("requirements", WRITTEN, "setup.py", lines)
    names = sorted(_third_party(folder, script), key=str.lower)
    lines = (f"# From the imports of {script.file}; check it.", *names)
    return Packages(
        "requirements", WRITTEN, f"no requirements; {len(names)} packages that {script.file} imports", lines
    )


def _of_requirements(folder: Path, file: Path) -> Packages:
    text = (folder / file).read_text(encoding="utf-8", errors="replace")
    if _HAS_WANDB.search(text) or re.search(r"^\s*(-r|--requirement)\b", text, re.MULTILINE):
        return Packages("requirements", file, str(file))
    lines = (f"# {file} does not name wandb, which the script imports.", f"-r ../{file}", "wandb")
    return Packages("requirements", WRITTEN, f"{file} (without wandb, which is added)", lines)


def _of_project(folder: Path, project: dict[str, Any]) -> Packages:
    section: dict[str, Any] = project.get("project") or {}
    notes = ()
    if (folder / "uv.lock").is_file():
        exported = "uv export --no-hashes --no-emit-project -o requirements.lock.txt"
        notes = (f"uv.lock is not read: for its versions, `{exported}`, then `lock: requirements.lock.txt`",)
    needed = list(map(str, cast("list[Any]", section.get("dependencies") or [])))
    if _is_package(folder, project):
        listed: dict[str, Any] = section.get("scripts") or {}
        scripts = {name: str(target) for name, target in listed.items()}
        found = "pyproject.toml, a package" + " (and uv.lock)" * bool(notes)
        return Packages("pyproject", Path("pyproject.toml"), found, notes=notes, scripts=scripts)
    if not any(_HAS_WANDB.match(item) for item in needed):
        needed.append("wandb")
    # To pip it is a package all the same, which setuptools refuses to build where several modules lie side by side.
    lines = ("# The dependencies of pyproject.toml, whose project is no package.", *needed)
    return Packages("requirements", WRITTEN, "the dependencies of pyproject.toml", lines, notes=notes)


def _of_conda(folder: Path, file: Path) -> Packages:
    given = load_yaml(folder / file)
    listed: Any = given.get("dependencies") if is_mapping(given) else None
    if not is_list(listed):
        raise ConfigError(f"{file}: found no list `dependencies`, expected an environment file of conda's")
    lines: list[str] = []
    left_out: list[str] = []
    for item in listed:
        if is_mapping(item):
            lines += [str(line) for line in cast("list[Any]", item.get("pip") or [])]
            continue
        # `pytorch::pytorch=2.1=py3.11_cuda`: channel, name, version, build.
        spec = str(item).rpartition("::")[2].strip()
        name, version = _name_and_version(spec)
        if re.match(r"^(lib|_)|-feedstock$", name) or _PYPI_NAMES.get(name.lower(), name) is None:
            left_out += [] if name in {"pip", "setuptools", "wheel"} else [spec]
        else:
            lines.append(f"{_PYPI_NAMES.get(name.lower(), name)}{version}")
    if not any(_HAS_WANDB.match(line) for line in lines):
        lines.append("wandb")
    head = f"# The packages of {file} by their names for pip. The sites discourage conda."
    rest = (f"# Left out: {', '.join(left_out)}",) if left_out else ()
    return Packages("requirements", WRITTEN, f"{file}, a file of conda's", (head, *rest, *lines), tuple(left_out))


def _name_and_version(spec: str) -> tuple[str, str]:
    """Split conda's `numpy=1.26`, `numpy==1.26.4=py311` and `numpy >=1.26` into a name and pip's version."""
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?\s*(.*)", spec)
    if match is None:
        return spec, ""
    name, version = match.groups()
    parts = version.split()
    # A build stands after a second `=` or a space: pip has none.
    exact = re.fullmatch(r"(==?)\s*([0-9][^=\s,|]*)(=\S+)?", parts[0] if parts else "")
    if exact is None:
        return name, version.replace(" ", "") if re.match(r"[<>!~]=?[^|]+$", version) else ""
    wanted = exact[2].rstrip("*").rstrip(".")
    # One `=` is any version that begins so.
    return name, f"=={wanted}" if exact[1] == "==" or wanted.count(".") >= 2 else f"=={wanted}.*"


def _project(file: Path) -> dict[str, Any] | None:
    """Read a pyproject.toml that describes a project; None where there is none, or it only configures tools."""
    if not file.is_file():
        return None
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"pyproject.toml: found invalid TOML ({error}), expected a file that can be parsed"
        ) from error
    return content if content.get("project") else None


def _is_package(folder: Path, project: dict[str, Any]) -> bool:
    if project.get("tool", {}).get("uv", {}).get("package") is False:
        return False
    return "build-system" in project or any((folder / "src").glob("*/__init__.py"))


def _third_party(folder: Path, script: Script) -> set[str]:
    """Name the packages that a script imports, and those of the repository's own modules that it reaches."""
    from runferry.config.repository.scripts import imported
    from runferry.config.repository.syntax import parse

    own = {file.stem for file in python_files(folder)} | {part for file in python_files(folder) for part in file.parts}
    names: set[str] = {"wandb", *script.imports}
    waiting, seen = set(script.imports) & own, set[str]()
    while waiting:
        seen |= waiting
        files = [file for file in python_files(folder) if {file.stem, *file.parts[:-1]} & waiting]
        more = {name.partition(".")[0] for file in files if (tree := parse(folder / file)) for name in imported(tree)}
        names |= more
        waiting = (more & own) - seen
    outside = names - own - set(sys.stdlib_module_names)
    return {_PACKAGES.get(name, name) for name in outside}

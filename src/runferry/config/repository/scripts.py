"""Find the script of a repository that logs to W&B by reading its Python files; none is imported."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.repository.syntax import calls, is_at_top, keyword, literal, name_of, parse
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT = frozenset(
    {
        *("venv", "env", "site-packages", "node_modules", "build", "dist", "results", "logs", "wandb", "outputs"),
        *("tests", "test", "docs", "__pycache__", "multirun", "lightning_logs", "checkpoints", "data"),
    }
)
"""Folders in which no training script of the user's is looked for, beside hidden ones."""
_MOST_FILES = 5000
_NAMES = ("train", "main", "run")
_INTEGRATIONS = frozenset({"WandbLogger", "WandbCallback", "WandbMetricsLogger"})
"""Of Lightning, Keras and the like, which call wandb.init() themselves."""


@dataclass(frozen=True)
class Script:
    """A Python file that a user starts and that logs to W&B."""

    file: Path
    """Relative to the repository."""
    trees: tuple[ast.Module, ...]
    """Of the file, and of the module that it has call wandb.init(), where that is another."""
    project: str | None
    """What it passes to wandb.init(), where that is written out."""
    entity: str | None

    @property
    def imports(self) -> set[str]:
        """Return the names of the top-level modules that it imports."""
        return {name.partition(".")[0] for tree in self.trees for name in imported(tree)}


def find_scripts(folder: Path) -> list[Script]:
    """List the scripts of a repository that log to W&B, the likeliest one first."""
    trees = {file: tree for file in python_files(folder) if (tree := parse(folder / file)) is not None}
    logging = {file: calls_of_wandb(tree) for file, tree in trees.items()}
    found: dict[Path, tuple[int, Script]] = {}
    for file, tree in trees.items():
        made, own = logging[file], (tree,)
        if not made and is_started(tree):
            # A script whose package makes the W&B run.
            parts = [other for other, wandb in logging.items() if wandb and _imports(tree, other)]
            made = [call for other in parts for call in logging[other]]
            own = (tree, *(trees[other] for other in parts))
        if made:
            started = is_started(tree) or any(is_at_top(tree, call) for call in made)
            likeliness = 4 * started + 2 * bool(logging[file]) + 2 * (file.stem in _NAMES)
            likeliness += any(name in file.stem for name in _NAMES) - len(file.parts)
            found[file] = (likeliness, _script(file, own, made))
    ordered = sorted(found.values(), key=lambda one: (-one[0], str(one[1].file)))
    return [script for _, script in ordered]


def read_script(folder: Path, file: Path) -> Script:
    """Read a script that the user has named.

    Raises
    ------
    ConfigError
        When it is no Python file that can be read.
    """
    tree = parse(folder / file)
    if tree is None:
        raise ConfigError(f"--script: found no Python in {file}, expected the script that trains, such as train.py")
    return _script(file, (tree,), calls_of_wandb(tree))


def python_files(folder: Path) -> Iterator[Path]:
    """Go through the Python files of a repository, relative to it, those near its top first in each folder."""
    count = 0
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in LEFT_OUT and not name.startswith("."))
        # A virtual environment of any name.
        names[:] = [name for name in names if not (Path(place) / name / "pyvenv.cfg").is_file()]
        for name in sorted(files):
            if name.endswith(".py") and count < _MOST_FILES:
                count += 1
                yield (Path(place) / name).relative_to(folder)


def calls_of_wandb(tree: ast.Module) -> list[ast.Call]:
    """List the calls that make a W&B run: wandb.init(), a logger of a framework, `report_to="wandb"`."""
    modules, functions = {"wandb"}, set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname for alias in node.names if alias.name == "wandb" and alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module == "wandb":
            functions |= {alias.asname or alias.name for alias in node.names if alias.name == "init"}
    inits = {f"{module}.init" for module in modules} | functions
    return [call for call in calls(tree) if _makes_run(call, inits)]


def imported(tree: ast.Module) -> Iterator[str]:
    """Go through the modules that a file imports, by their dotted names, relative ones left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def is_started(tree: ast.Module) -> bool:
    """Return whether a file has `if __name__ == "__main__":`."""
    return any(isinstance(node, ast.If) and "__main__" in ast.dump(node.test) for node in tree.body)


def _makes_run(call: ast.Call, inits: set[str]) -> bool:
    name = name_of(call.func)
    reports = literal(keyword(call, "report_to"))
    return name in inits or name.rpartition(".")[2] in _INTEGRATIONS or reports in ("wandb", ["wandb"])


def _imports(tree: ast.Module, file: Path) -> bool:
    """Return whether a script imports the module that a file holds, by its last name or its package's."""
    module = file.parent if file.stem == "__init__" else file.with_suffix("")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            names = {alias.name.rpartition(".")[2] for alias in node.names}
        else:
            continue
        if module.name in names:
            return True
    return False


def _script(file: Path, trees: tuple[ast.Module, ...], made: list[ast.Call]) -> Script:
    def said(key: str) -> str | None:
        found = (literal(keyword(call, key)) for call in made)
        return next((value for value in found if isinstance(value, str)), None)

    return Script(file, trees, said("project"), said("entity"))

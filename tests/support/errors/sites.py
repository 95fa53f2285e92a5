"""Every place in src/runferry that makes one of its own errors, with the words that are said there."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from support.paths import ROOT

PACKAGE = ROOT / "src" / "runferry"
# W&B's side of the conversation: its errors are answers to a client.
LEFT_OUT = ("standin",)


@dataclass(frozen=True)
class Site:
    """Where an error is made, to be raised there or by who calls it."""

    module: str
    """As `sweep/parameter.py`."""
    words: str
    """The message, with `{}` for what is filled in."""
    lines: range

    def __str__(self) -> str:
        return f"{self.module}: {self.words}"


def error_classes(trees: dict[str, ast.Module]) -> set[str]:
    """The names of RunferryError and of all that is derived from it."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"RunferryError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def all_sites() -> list[Site]:
    trees = {
        str(file.relative_to(PACKAGE)): ast.parse(file.read_text())
        for file in sorted(PACKAGE.rglob("*.py"))
        if not set(LEFT_OUT) & set(file.relative_to(PACKAGE).parts)
    }
    classes = error_classes(trees)
    return [site for module, tree in trees.items() for site in _sites_of(module, tree, classes)]


def _sites_of(module: str, tree: ast.Module, classes: set[str]) -> list[Site]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    makers = {function.name: made for function in functions if (made := _made_by(function, classes))}
    found = []
    for function in functions:
        # Not only where it is raised at once: an error may be kept for another thread to raise.
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if node.func.id in classes and function.name not in makers:
                found.append(Site(module, _words(node.args[0], function, node.lineno), lines))
            elif made := makers.get(node.func.id):
                found.append(Site(module, made, lines))
    # A function within a function is walked with both.
    return list(dict.fromkeys(found))


def _made_by(function: ast.FunctionDef | ast.AsyncFunctionDef, classes: set[str]) -> str | None:
    """The words of the error that a helper returns for others to raise."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, ast.Name) and called.id in classes:
                return _words(node.value.args[0], function, node.lineno)
    return None


def _words(node: ast.expr, function: ast.AST, line: int) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, function, line) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        plain = isinstance(node.value, ast.Name) and node.value.id in {"message", "found", "problem", "where", "said"}
        return _words(node.value, function, line) if plain else "{}"
    if isinstance(node, ast.BinOp):
        return _words(node.left, function, line) + _words(node.right, function, line)
    if isinstance(node, ast.Name):
        before = [
            each
            for each in ast.walk(function)
            if isinstance(each, ast.Assign)
            and each.lineno <= line
            and isinstance(each.targets[0], ast.Name)
            and each.targets[0].id == node.id
        ]
        if before:
            last = max(before, key=lambda each: each.lineno)
            return _words(last.value, function, last.lineno - 1)
    return "{}"

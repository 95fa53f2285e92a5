"""Read Python files as syntax trees: calls, the names in them, and values that are written out."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def parse(file: Path) -> ast.Module | None:
    """Parse a Python file; return None for one that cannot be read or is no Python 3."""
    try:
        with warnings.catch_warnings():
            # Such as an invalid escape in a text: the user's affair.
            warnings.simplefilter("ignore")
            return ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return None


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Go through the calls of a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(node: ast.expr) -> str:
    """Return a dotted name as it is written, such as `wandb.init`; empty for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return what a call passes under a name; None where it passes nothing."""
    return next((item.value for item in call.keywords if item.arg == name), None)


def literal(node: ast.expr | None) -> Any:
    """Return a value that is written out; None for an expression, and for none."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def is_at_top(tree: ast.Module, wanted: ast.AST) -> bool:
    """Return whether a node is run when the file is: outside of functions and classes."""
    inside = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    waiting: list[ast.AST] = [tree]
    for node in waiting:
        if node is wanted:
            return True
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, inside)]
    return False

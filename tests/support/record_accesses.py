"""Count what is left of records as dictionaries in `src/runferry`: `python -m support.record_accesses` in `tests`.

A record is what lies in a file of a run's folder or beside it. It is read in `runferry.runs`, and typed elsewhere.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "runferry"

RECORDS = frozenset({"run", "run_record", "record", "attempt", "receipt", "trained", "_record"})
"""Names that a record of a run has where it is a dictionary."""
READERS = frozenset({"read_run", "last_attempt", "attempts"})
"""What returns records."""
CLEAR = frozenset({"run_record", "attempt", "receipt", "trained", "_record"})
"""Those of the names that nothing else has: `run` and `record` are names of other things, too."""
READING = frozenset({"read_json", "loads"})
FILES = frozenset({"run_file", "trained_file", "finished_file", "receipt_file", "interim_receipt_file"})
"""Attributes of a run's folder whose files hold records."""


def accesses(source: str, names: frozenset[str] = RECORDS | {"read_json"}) -> list[str]:
    """List the accesses by string key on what has one of the names, or a reader returns, as `12: run["id"]`."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript):
            base, key = node.value, node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            base, key = node.func.value, node.args[0]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            base, key = node.comparators[0], node.left
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and _is_record(base, names):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def raw_reads(source: str, functions: frozenset[str] = READING | {"write_json", "write_changed"}) -> list[str]:
    """List the calls that read or write the file of a record without its class, as `12: read_json(x.run_file)`."""
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and _name(node.func) in functions
        and any(_is_file(part) for given in node.args for part in ast.walk(given))
    ]


def _is_record(base: ast.expr, names: frozenset[str]) -> bool:
    while isinstance(base, ast.Subscript):
        # `run["wandb"]["project"]`: each of them counts.
        base = base.value
    if isinstance(base, ast.BoolOp):
        return any(_is_record(value, names) for value in base.values)
    if isinstance(base, ast.Call):
        return _name(base.func) in READERS | names
    return _name(base) in names


def _is_file(node: ast.AST) -> bool:
    names = ("run.json", "trained.json", "finished.json", "receipt.json")
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return _name(node) in FILES or text.endswith(names)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def main() -> None:
    """Print the counts."""
    files = sorted(PACKAGE.rglob("*.py"))
    texts = {file: file.read_text() for file in files}
    outside = {file: text for file, text in texts.items() if file.parent != PACKAGE / "runs"}
    found = {file: accesses(text) for file, text in outside.items()}
    lines = sum(text.count("\n") for text in texts.values())
    annotations = sum(len(re.findall(r"dict\[str, Any\]", text)) for text in texts.values())
    mappings = sum(len(re.findall(r"Mapping\[str, Any\]", text)) for text in texts.values())
    sys.stdout.write(f"lines of src/runferry: {lines}\n")
    sys.stdout.write(f"annotations: dict[str, Any] {annotations}, Mapping[str, Any] {mappings}\n")
    modules = sum(map(bool, found.values()))
    sys.stdout.write(f"accesses by string key outside runs/: {sum(map(len, found.values()))} in {modules} modules\n")
    raw = sum(len(raw_reads(text)) for text in outside.values())
    sys.stdout.write(f"reads and writes past the class: {raw}\n")
    sys.stdout.writelines(f"  {file.relative_to(PACKAGE)}: {len(each)}\n" for file, each in found.items() if each)


if __name__ == "__main__":
    main()

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
FILES = frozenset({"run_file", "trained_file", "finished_file", "receipt_file", "interim_receipt_file"})
"""Attributes of a run's folder whose files hold records."""


def accesses(source: str) -> list[str]:
    """List the accesses by string key on what has a record's name, as `12: run["id"]`."""
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
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and _is_record(base):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def raw_reads(source: str) -> list[str]:
    """List the calls that read or write the file of a record without its class, as `12: read_json(x.run_file)`."""
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and _name(node.func) in {"read_json", "write_json", "write_changed", "loads"}
        and any(
            isinstance(part, ast.Attribute) and part.attr in FILES for given in node.args for part in ast.walk(given)
        )
    ]


def _is_record(base: ast.expr) -> bool:
    while isinstance(base, ast.Subscript):
        # `run["wandb"]["project"]`: each of them counts.
        base = base.value
    if isinstance(base, ast.BoolOp):
        return any(map(_is_record, base.values))
    if isinstance(base, ast.Call):
        return _name(base.func) in {*READERS, "read_json"}
    return _name(base) in RECORDS


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

"""The first line of a docstring says what is done with what: a verb and a noun."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_VERBS = re.compile("A|All|An|Every|Give|Has|How|Its|One|Say|Some|Tell|The|What|Where|Whether|Which|Who|Why")


def _first_words() -> Iterator[tuple[str, str]]:
    """Yield the place and the first word of the docstring of each module and each public function and method."""
    for file in sorted((ROOT / "src" / "runferry").rglob("*.py")):
        module = ast.parse(file.read_text())
        classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
        functions = [node for body in (module, *classes) for node in body.body if isinstance(node, ast.FunctionDef)]
        for node in (module, *(function for function in functions if not function.name.startswith("_"))):
            if text := ast.get_docstring(node):
                yield f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text.split(maxsplit=1)[0]


def test_docstrings_begin_with_a_verb():
    words = list(_first_words())
    assert len(words) > 500
    assert [f"{place}: {word}" for place, word in words if NO_VERBS.fullmatch(word)] == []

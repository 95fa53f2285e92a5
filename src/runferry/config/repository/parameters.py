"""Find the parameters that a script takes, with their defaults, and the metrics that it logs."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from runferry.config.repository.syntax import calls, keyword, literal, name_of
from runferry.system.values import is_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runferry.config.repository.scripts import Script

How = Literal["args", "args_no_hyphens", "config", "none"]
"""How a sweep's parameters reach a script: `--name=value`, `name=value`, `wandb.config` alone, or not at all."""

_RATE = re.compile(r"(^|[._-])(lr|learning[_-]?rate)$")
_BEST = (
    (
        "minimize",
        re.compile(r"(val|valid|eval|test|dev)\w*[_/.-].*(loss|error|perplexity|rmse|mae|mse)", re.IGNORECASE),
    ),
    ("maximize", re.compile(r"(acc|accuracy|f1|auc|auroc|map|bleu|iou|dice|reward|return|score|r2)$", re.IGNORECASE)),
    ("minimize", re.compile(r"(loss|error|perplexity|ppl|rmse|mae|mse|cer|wer)$", re.IGNORECASE)),
)


@dataclass(frozen=True)
class Parameters:
    """The parameters of a script."""

    how: How
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    """Name -> its default, a number or a text, in their order."""
    choices: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    required: tuple[str, ...] = ()
    """Options that have to be passed."""

    def varied(self) -> tuple[str, list[Any]] | None:
        """Return the parameter that a first sweep varies, and two values of it; None where there is none."""
        numbers = {name: value for name, value in self.defaults.items() if _is_number(value)}
        rates = [name for name, value in numbers.items() if _RATE.search(name) and value]
        seeds = [name for name in numbers if name.rpartition(".")[2] == "seed"]
        if rates:
            value = numbers[rates[0]]
            return rates[0], [value, float(f"{value / 10:.6g}")]
        if seeds and isinstance(numbers[seeds[0]], int):
            return seeds[0], [numbers[seeds[0]], numbers[seeds[0]] + 1]
        for name, value in numbers.items():
            if value:
                return name, [value, 2 * value]
        for name, values in self.choices.items():
            if len(values) > 1:
                return name, values[:2]
        return None


@dataclass(frozen=True)
class FoundMetric:
    """The metric that tells which run is best."""

    name: str
    goal: Literal["minimize", "maximize"]


def find_parameters(script: Script) -> Parameters:
    """Return the parameters of a script, from its argparse or click options, Hydra, or what `wandb.init` gets."""
    trees = script.trees
    options = [call for tree in trees for call in calls(tree) if _is_option(call)]
    if options:
        return _of_options(options)
    if "hydra" in script.imports:
        return Parameters("args_no_hyphens")
    # A script that does not read it there would train the same in every run, under another name.
    if any(_reads_config(tree) for tree in trees) and (defaults := _of_config(trees)):
        return Parameters("config", defaults)
    return Parameters("none")


def find_metric(trees: Sequence[ast.Module]) -> FoundMetric | None:
    """Return the metric by which runs are best compared among those that are logged by written names."""
    keys = [key for tree in trees for call in calls(tree) for key in _logged(call)]
    for goal, pattern in _BEST:
        for key in keys:
            if pattern.search(key):
                return FoundMetric(key, "maximize" if goal == "maximize" else "minimize")
    return None


def _logged(call: ast.Call) -> Iterator[str]:
    called = name_of(call.func).rpartition(".")[2]
    if called in {"log", "log_dict"} and call.args and isinstance(call.args[0], ast.Dict):
        yield from (key for node in call.args[0].keys if isinstance(key := literal(node), str))
    elif called == "log" and call.args and isinstance(key := literal(call.args[0]), str):
        yield key


def _is_option(call: ast.Call) -> bool:
    name = name_of(call.func)
    option = name.rpartition(".")[2] == "add_argument" or name in {"click.option", "option"}
    return option and any(_long(node) for node in call.args)


def _long(node: ast.expr) -> str:
    text: Any = literal(node)
    # click takes `--shuffle/--no-shuffle`.
    return text[2:].partition("/")[0] if isinstance(text, str) and re.match(r"--[A-Za-z]", text) else ""


def _of_options(options: Sequence[ast.Call]) -> Parameters:
    defaults: dict[str, Any] = {}
    choices: dict[str, list[Any]] = {}
    required: list[str] = []
    for call in options:
        name = next(long for node in call.args if (long := _long(node)))
        default, listed = literal(keyword(call, "default")), _listed(keyword(call, "choices"))
        flag = keyword(call, "action") is not None or literal(keyword(call, "is_flag")) or isinstance(default, bool)
        if literal(keyword(call, "required")):
            required.append(name)
        elif not flag and keyword(call, "nargs") is None and _is_value(default):
            defaults[name] = _typed(default, keyword(call, "type"))
            if is_list(listed):
                choices[name] = [default, *(item for item in listed if item != default)]
    return Parameters("args", defaults, choices, tuple(required))


def _listed(node: ast.expr | None) -> list[Any] | None:
    found: Any = literal(node)
    return list(cast("tuple[Any, ...]", found)) if isinstance(found, tuple) else found


def _typed(value: Any, kind: ast.expr | None) -> Any:
    # `default=1` of a float.
    is_float = kind is not None and name_of(kind) == "float" and isinstance(value, int)
    return float(value) if is_float else value


def _of_config(trees: Sequence[ast.Module]) -> dict[str, Any]:
    """Return what `wandb.init(config=...)` gets, where it is written out there or under a name."""
    written = {
        name_of(node.targets[0]): values
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and (values := _mapping(node.value)) is not None
    }
    for tree in trees:
        for call in calls(tree):
            given = keyword(call, "config") if name_of(call.func).endswith("init") else None
            if given is not None:
                values = _mapping(given) or written.get(name_of(given)) or {}
                return {name: value for name, value in values.items() if _is_value(value)}
    return {}


def _mapping(node: ast.expr) -> dict[str, Any] | None:
    if isinstance(node, ast.Dict):
        pairs = [(literal(key), literal(value)) for key, value in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, ast.Call) and name_of(node.func) == "dict":
        pairs = [(item.arg, literal(item.value)) for item in node.keywords]
    else:
        return None
    return {key: value for key, value in pairs if isinstance(key, str)}


def _reads_config(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "config" and isinstance(node.ctx, ast.Load)
        for node in ast.walk(tree)
    )


def _is_value(value: Any) -> bool:
    return _is_number(value) or isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

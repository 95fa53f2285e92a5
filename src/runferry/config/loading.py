"""Check the config against its schema, fill in defaults, and describe any mistake in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import yaml

from runferry.config.texts import check_texts
from runferry.errors import ConfigError
from runferry.system.text import suggest
from runferry.system.values import is_list, is_mapping


def check_yaml(file: Path) -> None:
    """Refuse a YAML file that is malformed or names a key twice (PyYAML itself keeps the last one silently).

    A file that is not there is left to the caller.

    Raises
    ------
    ConfigError
        With the file, line and column.
    """
    if file.is_file():
        load_yaml(file)


def cluster_in(file: Path) -> str | None:
    """Return the cluster that a config file names; None where it names none, or is not there.

    Raises
    ------
    ConfigError
        As `check_yaml`.
    """
    given: Any = load_yaml(file) if file.is_file() else None
    return str(given["cluster"]) if is_mapping(given) and given.get("cluster") else None


def load_yaml(file: Path) -> Any:
    """Read a YAML file, refusing duplicate keys.

    Raises
    ------
    ConfigError
        When the file is missing, malformed, or has a key twice.
    """
    try:
        text = file.read_text()
    except OSError as error:
        message = f"{file}: expected a YAML file, found none that can be read ({error.strerror})"
        raise ConfigError(message) from error
    except UnicodeDecodeError as error:
        message = f"{file}: expected a YAML file in UTF-8, found bytes that are not"
        raise ConfigError(message) from error
    try:
        return _load_strictly(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        message = f"{file}, {where}: expected YAML, found it malformed: {error.problem or error.context}"
        raise ConfigError(message) from error
    except yaml.YAMLError as error:
        message = f"{file}: expected YAML, found it malformed: {' '.join(str(error).split())}"
        raise ConfigError(message) from error


def validate(config: Mapping[str, Any], schema_file: Path) -> dict[str, Any]:
    """Check `config` against the JSON schema and return a plain copy with every default filled in.

    Parameters
    ----------
    config
        As Snakemake merged it from files, profile and command line.
    schema_file
        `workflow/schemas/config.schema.yaml`; its `expected` annotations are the words of the messages.

    Raises
    ------
    ConfigError
        For the first thing that is wrong: the key, what was found, what was expected.
    """
    # Imported here: its start-up costs more than the whole check, and a job's launcher needs neither.
    from jsonschema import Draft202012Validator

    schema = yaml.safe_load(schema_file.read_text())
    # Through JSON: plain types, and a date (which YAML makes of 2026-01-01) is the text that was written.
    checked = _with_defaults(json.loads(json.dumps(config, default=str)), schema)
    validator: Any = Draft202012Validator(schema)
    errors: list[Any] = sorted(validator.iter_errors(checked), key=_first_things_first)
    if errors:
        raise ConfigError(_one_line(errors[0]))
    check_texts(checked, "config")
    return checked


def cluster_name(config: Mapping[str, Any]) -> str | None:
    """Return the cluster's name: the config's key, else `$CC_CLUSTER`, which Alliance nodes set, else None."""
    return config.get("cluster") or os.environ.get("CC_CLUSTER") or None


def _with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    if is_list(value) and is_mapping(schema.get("items")):
        return [_with_defaults(item, schema["items"]) for item in value]
    if not is_mapping(value):
        return value
    named: Mapping[str, Any] = schema.get("properties", {})
    for key, subschema in named.items():
        if key not in value and "default" in subschema:
            value[key] = json.loads(json.dumps(subschema["default"]))
        elif key in value and value[key] is None and "object" in _types(subschema) and "default" in subschema:
            # `environment:` with nothing under it is YAML's null.
            value[key] = json.loads(json.dumps(subschema["default"])) if "null" not in _types(subschema) else None
    others: Any = schema.get("additionalProperties")
    for key, item in value.items():
        if key in named:
            value[key] = _with_defaults(item, named[key])
        elif is_mapping(others):
            value[key] = _with_defaults({} if item is None and "object" in _types(others) else item, others)
    return value


def _types(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _first_things_first(error: Any) -> tuple[bool, list[str]]:
    # A mistyped key is also a missing one: the typing error is what helps.
    return error.validator != "additionalProperties", [str(part) for part in error.absolute_path]


def _one_line(error: Any) -> str:
    """Word a jsonschema ValidationError as: config: <key>: found <what>, expected <what>."""
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        key = f"{path}.{unknown}" if path else unknown
        return f"config: {key}: found an unknown key, expected one of {', '.join(known)}{suggest(unknown, known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        key = f"{path}.{missing}" if path else missing
        return f"config: {key}: found nothing, expected {_expected(error.schema['properties'][missing])}"
    if error.parent is not None and error.parent.validator == "propertyNames":
        path = ".".join(str(part) for part in error.parent.absolute_path)
    found = json.dumps(error.instance, ensure_ascii=False)
    if len(found) > 80:
        found = found[:77] + "..."
    expected = _expected(error.schema)
    if type(error.instance) is int and expected.startswith("a time "):
        # YAML 1.1 counts in sixties: 72:00:00 is 259200.
        expected += "; a time with colons in quotes, which YAML reads as a number without"
    return f"config: {path or 'the whole'}: found {found}, expected {expected}"


def _expected(schema: Mapping[str, Any]) -> str:
    if "expected" in schema:
        return str(schema["expected"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    words = {
        "object": "a mapping of keys",
        "array": "a list",
        "string": "a text",
        "integer": "a whole number",
        "number": "a number",
        "null": "null",
    }
    return " or ".join(words[name] for name in _types(schema)) or str(schema.get("description", "something else"))


def _load_strictly(text: str) -> Any:
    """Load YAML with libyaml where it is there, a tenth of the time; what it refuses PyYAML's own loader explains."""
    if loader := _FAST_LOADER:
        with suppress(yaml.YAMLError):
            return yaml.load(text, loader)
    return yaml.load(text, _StrictLoader)


class _UniqueKeys:
    """Makes a key that stands twice in a mapping an error, of one of PyYAML's loaders."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        construct: Any = cast("Any", self).construct_object
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key: Any = construct(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    problem = f"the key {key!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key)
        return cast("Any", super()).construct_mapping(node, deep=deep)


class _StrictLoader(_UniqueKeys, yaml.SafeLoader):
    """PyYAML's safe loader with unique keys."""


_FAST_LOADER: Any = type("_FastLoader", (_UniqueKeys, yaml.CSafeLoader), {}) if hasattr(yaml, "CSafeLoader") else None

_NAME = "config.schema.yaml"


def read_config(config: Mapping[str, Any] | str | os.PathLike[str]) -> dict[str, Any]:
    """Check a config, given or in a file, and return it with its defaults.

    Raises
    ------
    ConfigError
        As `runferry.config.loading.validate`, and when the file cannot be read.
    """
    given: Any = config if is_mapping(config) else load_yaml(Path(str(config)))
    if not is_mapping(given):
        raise ConfigError(f"{config}: found no mapping of keys, expected a config as in config/README.md")
    return validate(given, schema_file())


def schema_file() -> Path:
    """Return the path of the config's schema: beside this module in a wheel, in `workflow/` in a checkout."""
    installed = Path(__file__).with_name(_NAME)
    return installed if installed.is_file() else Path(__file__).parents[3] / "workflow" / "schemas" / _NAME

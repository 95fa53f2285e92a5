"""The GraphQL endpoint: the schema of `schema.graphql`, and who answers which field of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    execute_sync,  # pyright: ignore[reportUnknownVariableType] - of its middleware, which is not used
    parse,
    validate,
)

from runferry_standin import (
    artifact_fields,
    artifact_mutations,
    collection_fields,
    collection_mutations,
    mutations,
    run_fields,
    sweeps,
)
from runferry_standin.filters import FilterError
from runferry_standin.problems import RefusedError
from runferry_standin.runs import iso_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import DocumentNode, GraphQLSchema

    from runferry_standin.context import Context


@dataclass(frozen=True)
class Answer:
    """The HTTP status and the JSON body of an answer."""

    status: int
    body: dict[str, Any]


def answer(
    context: Context,
    query: str,
    variables: dict[str, Any] | None = None,
    operation: str | None = None,
    *,
    keep: bool = True,
) -> Answer:
    """Answer a GraphQL request.

    Parameters
    ----------
    keep
        False answers as usual and stores nothing.

    Returns
    -------
    The answer; its status is 400 when the request is not valid against the schema, as the real server's is (clients
    show its "(<Response [400]>)"), and otherwise 200 or the status of what was refused.
    """
    document, errors = _prepared(query)
    if document is None:
        return Answer(400, {"errors": errors})
    # Only mutations write, but all share the form.
    with context.store.transaction(keep=keep and _is_mutation(document)):
        result = execute_sync(
            schema(), document, context_value=context, variable_values=variables, operation_name=operation
        )
    body: dict[str, Any] = {"data": result.data}
    if not result.errors:
        return Answer(200, body)
    return Answer(max(_status(error) for error in result.errors), body | {"errors": [_shown(e) for e in result.errors]})


HEAVY = ("config", "summaryMetrics", "historyKeys")
"""What W&B's own client leaves out of lists of runs, since it makes them slow (read: PR 10034)."""


def heavy_runs(body: dict[str, Any]) -> int:
    """Count the runs of an answer's list whose config, summary or history keys it carries."""
    data: dict[str, Any] = body.get("data") or {}
    count = 0
    for project in data.values():
        runs: Any = cast("dict[str, Any]", project).get("runs") if isinstance(project, dict) else None
        edges: list[Any] = cast("dict[str, Any]", runs).get("edges") or [] if isinstance(runs, dict) else []
        count += sum(1 for edge in edges if any(name in (edge.get("node") or {}) for name in HEAVY))
    return count


def not_logged_in(query: str) -> Answer:
    """Return the answer to a wrong key, in the real server's form (quoted in wandb/wandb issue 9620)."""
    field = _first_field(query)
    error = {"message": "user is not logged in", "path": [field], "extensions": {"code": "PERMISSION_ERROR"}}
    return Answer(401, {"errors": [error], "data": {field: None}})


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the schema with its resolvers; names of arguments and of records are in snake case behind it."""
    text = resources.files("runferry_standin").joinpath("schema.graphql").read_text()
    built = build_schema(text)
    for kind in built.type_map.values():
        if kind.name.startswith("__"):
            continue
        if isinstance(kind, GraphQLInputObjectType):
            for name, each in kind.fields.items():
                each.out_name = _snake(name)
        elif isinstance(kind, GraphQLObjectType):
            for name, field in kind.fields.items():
                is_time = str(field.type).rstrip("!") == "DateTime"
                field.resolve = _resolver(f"{kind.name}.{name}", _snake(name), is_time=is_time)
                for argument_name, argument in field.args.items():
                    # `input` is a builtin of Python's.
                    argument.out_name = "wanted" if argument_name == "input" else _snake(argument_name)
    _set_kind(
        built, "ArtifactCollection", lambda record: "ArtifactPortfolio" if record["portfolio"] else "ArtifactSequence"
    )
    # Only a run has a heartbeat.
    _set_kind(built, "ArtifactCreator", lambda record: "Run" if "heartbeat_at" in record else "User")
    return built


RESOLVERS: dict[str, Callable[..., Any]] = {
    **run_fields.RESOLVERS,
    **artifact_fields.RESOLVERS,
    **collection_fields.RESOLVERS,
    **mutations.RESOLVERS,
    **sweeps.RESOLVERS,
    **artifact_mutations.RESOLVERS,
    **collection_mutations.RESOLVERS,
}


def _resolver(name: str, key: str, *, is_time: bool) -> Callable[..., Any]:
    resolve = RESOLVERS.get(name)

    def get(record: Any, _: Any) -> Any:
        value = record.get(key)
        return iso_time(value) if is_time and value is not None else value

    def call(record: Any, info: Any, **arguments: Any) -> Any:
        assert resolve is not None
        return resolve(record, info.context, **arguments)

    return get if resolve is None else call


def _set_kind(built: GraphQLSchema, name: str, kind_of: Callable[[Any], str]) -> None:
    def resolve_type(record: Any, *_: Any) -> str:
        return kind_of(record)

    cast("Any", built.type_map[name]).resolve_type = resolve_type


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@lru_cache(maxsize=500)
def _prepared(query: str) -> tuple[DocumentNode | None, list[dict[str, Any]]]:
    # Clients send the same few documents again and again; to parse and validate one costs milliseconds.
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, [_shown(error)]
    except RecursionError:
        return None, [{"message": "the query is nested too deep"}]
    errors = validate(schema(), document)
    return (None, [_shown(error) for error in errors]) if errors else (document, [])


def _is_mutation(document: DocumentNode) -> bool:
    return any(
        isinstance(each, OperationDefinitionNode) and each.operation is OperationType.MUTATION
        for each in document.definitions
    )


def _first_field(query: str) -> str:
    # Only for the message to one who may know nothing: a document that cannot be read has no field to name.
    try:
        operation = parse(query).definitions[0]
    except (GraphQLError, RecursionError):
        return "viewer"
    selections = getattr(getattr(operation, "selection_set", None), "selections", ())
    return next((each.name.value for each in selections if hasattr(each, "name")), "viewer")


def _shown(error: GraphQLError) -> dict[str, Any]:
    return cast("dict[str, Any]", error.formatted)


def _status(error: GraphQLError) -> int:
    if error.path is None:
        # No field was reached: the variables do not fit their types.
        return 400
    match error.original_error:
        case RefusedError() as refused:
            return refused.status
        case FilterError():
            return 400
        case _:
            return 500

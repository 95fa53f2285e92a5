"""What the GraphQL schema's types for artifact types, collections and their members answer, field by field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from runferry_standin import artifacts
from runferry_standin.connections import connection
from runferry_standin.filters import FilterError
from runferry_standin.runs import find_project
from runferry_standin.store import identifier, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.context import Context
    from runferry_standin.store import Record


def collection_of(artifact: Record, context: Context) -> Record:
    """Return the collection of an artifact, an alias or a link."""
    collection = artifacts.collection_by_number(context.store, artifact["collection"])
    assert collection is not None
    return collection


def membership(collection: Record, artifact: Record, context: Context) -> Record:
    """Return an artifact as a member of a collection: of its own or of a portfolio, with its version there."""
    if collection["portfolio"]:
        link = context.store.row(
            "SELECT * FROM links WHERE collection = ? AND artifact = ?", collection["number"], artifact["number"]
        )
        index, since = (link["version_index"], link["created_at"]) if link else (None, artifact["created_at"])
    else:
        index, since = artifact["version_index"], artifact["created_at"]
    return {
        "number": f"{collection['number']}/{artifact['number']}",
        "version_index": index,
        "created_at": since,
        "membership_collection": collection,
        "artifact_record": artifact,
    }


def memberships(artifact: Record, context: Context) -> Record:
    """Return an artifact as a member of its own collection and of each portfolio that it is linked to."""
    links = context.store.rows(
        "SELECT collection FROM links WHERE artifact = ? ORDER BY created_at", artifact["number"]
    )
    portfolios = [collection_of(link, context) for link in links]
    return connection([membership(each, artifact, context) for each in (collection_of(artifact, context), *portfolios)])


def _by_name(project: Record, context: Context, name: str, **_: Any) -> Record | None:
    found = artifacts.artifact_by_name(context.store, project, name)
    return found and found[1]


def _membership_by_name(project: Record, context: Context, name: str) -> Record | None:
    found = artifacts.artifact_by_name(context.store, project, name)
    return found and membership(*found, context)


def _membership_by_alias(collection: Record, context: Context, alias_name: str) -> Record | None:
    artifact = artifacts.artifact_by_alias(context.store, collection, alias_name)
    return artifact and membership(collection, artifact, context)


def _types(project: Record, context: Context) -> list[Record]:
    found = context.store.rows(
        "SELECT min(number) AS number, type AS name, min(created_at) AS created_at FROM collections WHERE project = ?"
        " GROUP BY type ORDER BY number",
        project["number"],
    )
    return [kind | {"project_record": project} for kind in found]


def _type(project: Record, context: Context, name: str) -> Record | None:
    return next((kind for kind in _types(project, context) if kind["name"] == name), None)


def type_of(collection: Record, context: Context) -> Record | None:
    """Return the artifact type of a collection."""
    project = find_project(context.store, collection["entity"], collection["project_name"])
    return project and _type(project, context, collection["type"])


def _collection_of_type(kind: Record, context: Context, name: str) -> Record | None:
    found = artifacts.collection_by_name(context.store, kind["project_record"], name)
    return found if found and found["type"] == kind["name"] else None


def _collections(project: Record, context: Context, kind: str | None = None, **page: Any) -> Record:
    return connection(artifacts.collections_of(context.store, project, kind), page.get("first"), page.get("after"))


def _versions(
    collection: Record, context: Context, order: str | None = None, filters: str | None = None, **page: Any
) -> Record:
    """Return a page of a collection's versions: the newest first, or in an order such as "+createdAt"."""
    versions = artifacts.versions_of(context.store, collection)
    wanted_tags = _tags_wanted(filters)
    if wanted_tags is not None:
        versions = [each for each in versions if wanted_tags & set(json.loads(each["tags"]))]
    if order:
        column = _ORDERS.get(order.lstrip("+-"))
        if column is None:
            message = f"order: {order!r} is not known; known are {', '.join(_ORDERS)}"
            raise FilterError(message)
        versions.sort(key=lambda each: (each[column], each["member_index"]), reverse=order.startswith("-"))
    found = connection(versions, page.get("first"), page.get("after"))
    for edge in found["edges"]:
        edge["version"] = f"v{edge['node']['member_index']}"
    return found


_ORDERS = {
    "createdAt": "created_at",
    "created_at": "created_at",
    "updatedAt": "updated_at",
    "updated_at": "updated_at",
    "versionIndex": "member_index",
    "version_index": "member_index",
}


def _tags_wanted(filters: str | None) -> set[str] | None:
    """Return the tags of which a version must have one, of a filter such as {"tags": {"$in": ["a"]}}, or None."""
    condition: Any = json.loads(filters or "{}").get("tags")
    if condition is None:
        return None
    return set(cast("dict[str, list[str]]", condition)["$in"]) if isinstance(condition, dict) else {condition}


def _latest(collection: Record, context: Context) -> Record | None:
    return next(iter(artifacts.versions_of(context.store, collection)), None)


def _aliases(collection: Record, context: Context, **page: Any) -> Record:
    found = context.store.rows("SELECT * FROM aliases WHERE collection = ? ORDER BY number", collection["number"])
    return connection(found, **page)


def tags(artifact: Record, _: Context) -> list[Record]:
    """Return the tags of an artifact or of a collection."""
    return [{"id": identifier("Tag", i), "name": name} for i, name in enumerate(json.loads(artifact["tags"]))]


def _collection_by_id(_: Any, context: Context, id: str) -> Record | None:  # noqa: A002 - the schema's name for it
    return artifacts.collection_by_number(context.store, number_of("ArtifactCollection", id))


def _collection_by_name(project: Record, context: Context, name: str) -> Record | None:
    return artifacts.collection_by_name(context.store, project, name)


def _artifact_of_type(kind: Record, context: Context, name: str) -> Record | None:
    return _by_name(kind["project_record"], context, name)


def _collections_of_type(kind: Record, context: Context, **page: Any) -> Record:
    return _collections(kind["project_record"], context, kind["name"], **page)


def _type_page(project: Record, context: Context, **page: Any) -> Record:
    return connection(_types(project, context), **page)


COLLECTIONS = ("ArtifactSequence", "ArtifactPortfolio")

_OF_COLLECTION: dict[str, Callable[[Record, Context], Any]] = {
    "id": lambda collection, _: identifier("ArtifactCollection", collection["number"]),
    "state": lambda collection, _: collection.get("state", "READY"),
    "project": lambda collection, context: find_project(
        context.store, collection["entity"], collection["project_name"]
    ),
    "defaultArtifactType": type_of,
    "tags": lambda collection, context: {"edges": [{"node": tag} for tag in tags(collection, context)]},
    "latestArtifact": _latest,
}

_OF_COLLECTION_WITH_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "aliases": _aliases,
    "artifacts": _versions,
    "artifactMembership": _membership_by_alias,
}

_PLAIN: dict[str, Callable[[Record, Context], Any]] = {
    "ArtifactType.id": lambda kind, _: identifier("ArtifactType", kind["number"]),
    "ArtifactSequence.digestAlgorithm": lambda _, __: "MANIFEST_MD5",
    "ArtifactCollectionMembership.id": lambda member, _: identifier("Membership", member["number"]),
    "ArtifactCollectionMembership.artifact": lambda member, _: member["artifact_record"],
    "ArtifactCollectionMembership.artifactCollection": lambda member, _: member["membership_collection"],
    "ArtifactCollectionMembership.aliases": lambda member, context: artifacts.aliases_of(
        context.store, member["artifact_record"], member["membership_collection"]
    ),
}

_WITH_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "Query.artifactCollection": _collection_by_id,
    "Project.artifact": _by_name,
    "Project.artifactType": _type,
    "Project.artifactTypes": _type_page,
    "Project.artifactCollection": _collection_by_name,
    "Project.artifactCollections": _collections,
    "Project.artifactCollectionMembership": _membership_by_name,
    "ArtifactType.artifact": _artifact_of_type,
    "ArtifactType.artifactCollection": _collection_of_type,
    "ArtifactType.artifactCollections": _collections_of_type,
}

RESOLVERS: dict[str, Callable[..., Any]] = (
    _PLAIN
    | _WITH_ARGUMENTS
    | {
        f"{kind}.{field}": resolve
        for kind in COLLECTIONS
        for field, resolve in (_OF_COLLECTION | _OF_COLLECTION_WITH_ARGUMENTS).items()
    }
)
"""Who answers a field: called with the record it belongs to, the context, and the field's arguments."""

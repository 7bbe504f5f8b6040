"""The OpenAPI document of what is served here, made from the routes themselves.  Pure.

A route says what it is for and, where it takes a body, the type it is checked against, and the type
of its answer where it has one; so the document cannot promise what the door does not do.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from portico.door.routes import Route

VERSION = "3.1.0"
_PART = re.compile(r"{(\w+)}")
_REF = "#/components/schemas/{name}"
_ERROR = {
    "type": "object",
    "description": "Why it was refused, in the envelope of the dialect that was spoken.",
    "properties": {"error": {"type": "object"}},
    "required": ["error"],
}


def document(routes: Iterable[Route], title: str, version: str) -> dict[str, Any]:
    """All of `routes`, in their order."""
    routes = tuple(routes)
    named = (kind for route in routes for kind in (route.body, route.answer))
    kinds = {kind for kind in named if kind is not None}
    in_order = sorted(kinds, key=lambda kind: (kind.__module__, kind.__qualname__))
    references, components = msgspec.json.schema_components(in_order, ref_template=_REF)
    schemas = dict(zip(in_order, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.name, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": version},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: dict[type, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _id(route),
        "summary": route.summary,
        "responses": {
            "2XX": _done(route, schemas),
            "4XX": _refused("The request is refused: the body says why and what to do."),
            "5XX": _refused("Not now: the body says why and when to try again."),
        },
    }
    if route.open:
        operation["security"] = []
    parts: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PART.findall(route.name)
    ]
    parts += [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
        for name in route.query
    ]
    if parts:
        operation["parameters"] = parts
    if route.body is not None:
        content = {route.kind: {"schema": schemas[route.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _id(route: Route) -> str:
    words = re.findall(r"\w+", route.name)
    return "_".join([route.method.lower(), *words])


def _done(route: Route, schemas: dict[type, dict[str, Any]]) -> dict[str, Any]:
    if route.answer is None:
        return {"description": "Done."}
    content = {"application/json": {"schema": schemas[route.answer]}}
    return {"description": "Done.", "content": content}


def _refused(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}

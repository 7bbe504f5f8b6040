"""Names of members: Google's servers take `maxOutputTokens` and `max_output_tokens` alike."""

import re
from typing import Any

_SNAKE = re.compile(rb'"[A-Za-z]+_[A-Za-z_]*"\s*:')

_OWN = frozenset(
    {
        "args",
        "labels",
        "parameters",
        "parametersJsonSchema",
        "response",
        "responseJsonSchema",
        "responseSchema",
        "schema",
    }
)
"""Members whose inside is the caller's own, or is read in both spellings anyway."""


def camel_case(name: str) -> str:
    """`max_output_tokens` as `maxOutputTokens`; a name without "_" as it is."""
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def in_camel_case(document: dict[str, Any], body: bytes) -> dict[str, Any]:
    """`document`, which `body` holds, with the names of members in camelCase all the way down.

    Nearly every body is like that already; looking for the others costs one search.
    """
    if b"_" not in body or _SNAKE.search(body) is None:
        return document
    renamed: dict[str, Any] = _renamed(document)
    return renamed


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, inner in value.items():
        told = camel_case(name)
        found[told] = inner if told in _OWN else _renamed(inner)
    return found

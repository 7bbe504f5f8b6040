"""JSON schemas for providers that read only a part of the language: references are written out,
keywords the provider does not read are left out and said."""

from collections.abc import Set
from typing import Any

from portico import errors
from portico.dialects.losses import Losses

_DEFINITIONS = ("$defs", "definitions")
_MAPS = ("properties", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_DEPTH_MAX = 60
_SIZE_MAX = 20_000
"""Schemas written out: references that refer to references grow without end."""


def narrowed(schema: dict[str, Any], field: str, keep: Set[str], losses: Losses) -> dict[str, Any]:
    """`schema` without references, and with the keywords of `keep` only.

    field: where it stands in the caller's words.
    Raises: Refusal: it refers to itself, or to nothing that is there.
    """
    written: dict[str, Any] = _Narrowing(schema, field, keep, losses).of(schema, field, ())
    return written


class _Narrowing:
    def __init__(self, root: dict[str, Any], field: str, keep: Set[str], losses: Losses) -> None:
        self._root = root
        self._field = field
        self._keep = keep
        self._losses = losses
        self._written = 0

    def of(self, schema: Any, path: str, within: tuple[str, ...]) -> Any:
        """within: the references that led here."""
        if not isinstance(schema, dict):
            return schema
        self._written += 1
        if self._written > _SIZE_MAX or path.count(".") > _DEPTH_MAX:
            raise self._refusal(
                path, "is too deep or too large when its references are written out"
            )
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self._target(reference, path, within)
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            return self.of({**target, **beside}, path, (*within, reference))
        return {
            name: self._member(name, value, f"{path}.{name}", within)
            for name, value in schema.items()
            if self._kept(name)
        }

    def _member(self, name: str, value: Any, path: str, within: tuple[str, ...]) -> Any:
        if name in _MAPS and isinstance(value, dict):
            return {key: self.of(each, f"{path}.{key}", within) for key, each in value.items()}
        if name in _LISTS and isinstance(value, list):
            return [self.of(each, f"{path}.{at}", within) for at, each in enumerate(value)]
        if name in ("items", "additionalProperties", "not"):
            return self.of(value, path, within)
        return value

    def _kept(self, name: str) -> bool:
        if name in self._keep:
            return True
        if name not in _DEFINITIONS and name not in ("$schema", "$id", "$comment"):
            self._losses.drop(f"{self._field}:{name}", "the engine does not read this keyword")
        return False

    def _target(self, reference: str, path: str, within: tuple[str, ...]) -> dict[str, Any]:
        if reference in within:
            raise self._refusal(path, f"refers to itself through {reference}")
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:] if reference[:1] == "#" else ("",):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise self._refusal(path, f"refers to {reference}, which is not there")
        return found

    def _refusal(self, path: str, what: str) -> errors.Refusal:
        return errors.INVALID_SCHEMA(
            f"The schema at {path!r} {what}; this model's engine takes no such schema.",
            field=path,
        )


def closed(schema: Any) -> Any:
    """The same, where every object says that it has no other members: some providers insist."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _closed_member(name, value) for name, value in schema.items()}
    if inner.get("type") == "object" or "properties" in inner:
        inner["additionalProperties"] = False
    return inner


def _closed_member(name: str, value: Any) -> Any:
    if name in _MAPS and isinstance(value, dict):
        return {key: closed(each) for key, each in value.items()}
    if name in _LISTS or name in ("items", "not"):
        return closed(value)
    return value

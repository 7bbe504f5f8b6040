"""What the OpenAPI document says that answers look like, held against real ones."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

_REF = "#/components/schemas/"


class Promises:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Any] = document["components"]["schemas"]

    def schema(self, method: str, path: str) -> dict[str, Any]:
        """Of what is answered when all is well."""
        operation = self._document["paths"][f"/admin/v1{path}"][method.lower()]
        found: dict[str, Any] = operation["responses"]["2XX"]["content"]["application/json"]
        return dict(found["schema"])

    def broken(self, method: str, path: str, answer: Any) -> list[str]:
        """What is otherwise than it says, and what it does not speak of."""
        schema = self.schema(method, path)
        whole = {**schema, "components": self._document["components"]}
        validator = jsonschema_rs.validator_for(whole, validate_formats=True)
        wrong = [f"{each.instance_path}: {each.message}" for each in validator.iter_errors(answer)]
        return wrong + list(self._unsaid(schema, answer, ""))

    def _unsaid(self, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
        schema = self._meant(schema, value)
        if isinstance(value, list):
            for each in value:
                yield from self._unsaid(schema.get("items", {}), each, f"{at}[]")
        elif isinstance(value, dict) and "properties" in schema:
            for name, inner in value.items():
                if name in schema["properties"]:
                    yield from self._unsaid(schema["properties"][name], inner, f"{at}.{name}")
                else:
                    yield f"{at}.{name} is not in the document"

    def _meant(self, schema: dict[str, Any], value: Any) -> dict[str, Any]:
        """Without references, and of several the one for objects or lists."""
        if "$ref" in schema:
            return self._meant(self._schemas[schema["$ref"].removeprefix(_REF)], value)
        kind = "array" if isinstance(value, list) else "object"
        for each in schema.get("anyOf", ()):
            meant = self._meant(each, value)
            if meant.get("type") == kind:
                return meant
        return schema

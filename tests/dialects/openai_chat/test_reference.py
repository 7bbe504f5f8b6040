"""The reference page knows every field and value the code checks."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from portico.dialects.openai_chat.request import ChatRequest

PAGE = (Path(__file__).parents[3] / "docs/reference/chat-completions.md").read_text()
REQUEST = inspect.type_info(ChatRequest)
assert isinstance(REQUEST, inspect.StructType)
FIELDS = {field.name: field.type for field in REQUEST.fields}


def literals(kind: Any) -> set[str]:
    if isinstance(kind, inspect.LiteralType):
        return {str(value) for value in kind.values}
    if isinstance(kind, inspect.UnionType):
        return {value for inner in kind.types for value in literals(inner)}
    return literals(kind.item_type) if isinstance(kind, inspect.ListType) else set()


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_documented_with_its_values(field: str) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    of_field = [line for line in lines if f"`{field}`" in line.split("|")[1]]
    assert of_field
    for value in literals(FIELDS[field]) - {"in-memory"}:
        assert any(f"`{value}`" in line for line in of_field)

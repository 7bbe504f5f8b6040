"""Items as clients read them, and lists of them.  Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from portico import errors
from portico.dialects.diagnosis import brief, shown
from portico.dialects.openai_responses.answers.output import UNSHOWN
from portico.errors import Refusal


def list_of(items: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """Whose ids are texts even where there is none: clients insist."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else "",
        "last_id": items[-1]["id"] if items else "",
        "has_more": more,
    }


def unknown_edge(field: str, item_id: str) -> Refusal:
    """Raised of a list's parameter."""
    return errors.INVALID_VALUE(
        f"{field!r} is {shown(item_id)}; there is no such item in this list.",
        field=field,
        value=brief(item_id),
        limit="the id of an item in it",
    )


def shown_items(items: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """As clients read them."""
    for item in items:
        if isinstance(item, dict):
            yield shown_item(item)


def shown_item(item: dict[str, Any]) -> dict[str, Any]:
    """Text stands in parts, and what was sent without a status is completed."""
    said = shown_thought(item)
    if item.get("type") == "message":
        said = {**item, "content": _parts(item.get("role"), item.get("content"))}
    return {"status": "completed", **said} if item.get("type") in _DONE else said


def shown_thought(item: dict[str, Any], *, sealed: bool = False) -> dict[str, Any]:
    """Without what was not shown when it was made.  sealed: that is asked for now."""
    if UNSHOWN not in item:
        return item
    hidden = {UNSHOWN} if sealed else {UNSHOWN, "encrypted_content", "portico_expires_at"}
    return {name: value for name, value in item.items() if name not in hidden}


_DONE = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    }
)


def _parts(role: Any, content: Any) -> list[Any]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return [_part(role, part) for part in content or ()]


def _part(role: Any, part: Any) -> Any:
    if not isinstance(part, dict) or part.get("type") not in ("text", "output_text"):
        return part
    if role == "assistant":
        return {"annotations": [], "logprobs": [], **part, "type": "output_text"}
    return {**part, "type": "input_text"}

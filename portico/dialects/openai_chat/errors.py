"""A refusal as Chat clients read it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from portico.dialects.diagnosis import brief
from portico.errors import Refusal

Headers = list[tuple[bytes, bytes]]

_LISTED_MAX = 50
_AS_THEY_ARE: Mapping[str, str] = {}
"""Items of a list that are told one by one."""


def render(refusal: Refusal, _request_id: str = "") -> bytes:
    """The body: OpenAI's envelope, all four of its keys, and ours beside them."""
    return msgspec.json.encode({"error": error_of(refusal)})


def stream_error(refusal: Refusal, _request_id: str = "") -> bytes:
    """The event that ends a stream which had begun.  No `[DONE]` follows."""
    return b"data: " + render(refusal) + b"\n\n"


def headers(refusal: Refusal) -> Headers:
    """What tells an SDK whether and when to try again."""
    found: Headers = []
    if refusal.retry_after_ms is not None:
        after_s = -(-refusal.retry_after_ms // 1000)
        found.append((b"retry-after", b"%d" % after_s))
        found.append((b"retry-after-ms", b"%d" % refusal.retry_after_ms))
    if not refusal.entry.retryable:
        found.append((b"x-should-retry", b"false"))
    return found


def error_of(refusal: Refusal, names: Mapping[str, str] = _AS_THEY_ARE) -> dict[str, Any]:
    """names: of fields that the dialect which was spoken calls otherwise than Chat."""
    entry = refusal.entry
    field, told = in_words(refusal, names)
    return {
        "message": told,
        "type": entry.kind,
        "param": field,
        "code": entry.code,
        "value": plain(refusal.value),
        "limit": plain(refusal.limit),
        "remedy": refusal.remedy,
        "doc": f"docs/errors/{entry.code}.md",
    }


def in_words(refusal: Refusal, names: Mapping[str, str]) -> tuple[str | None, str]:
    """Field and message, with the field by its name there."""
    name, told = refusal.field, writable(refusal.told)
    if name is None:
        return None, told
    field = names.get(name)
    return (
        (writable(name), told)
        if field is None
        else (field, told.replace(f"'{name}'", f"'{field}'"))
    )


def writable(text: str) -> str:
    """Half a surrogate pair cannot be written; it is shown as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """`value` as it may stand in a body: short, and nothing but JSON."""
    if isinstance(value, list | tuple) and len(value) <= _LISTED_MAX:
        return [brief(item) for item in value]
    return brief(list(value)) if isinstance(value, tuple) else brief(value)

"""What is served, as Anthropic's clients read it: one model, and pages of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from portico import errors
from portico.canon.prompt import Feature
from portico.dialects import diagnosis
from portico.errors import Refusal

PAGE_DEFAULT = 20
PAGE_MAX = 1_000


def model_of(
    model: str, created_s: int, context_tokens: int | None, features: frozenset[Feature]
) -> dict[str, Any]:
    """context_tokens: of input and output together, None when it is not known."""
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": context_tokens,
        "max_tokens": context_tokens,
        "capabilities": _capabilities(features),
    }


def _capabilities(features: frozenset[Feature]) -> dict[str, Any]:
    """Thinking and effort are "supported" in the sense of that dialect: asking is no error.  What
    an engine makes of them is its own affair."""
    yes, no = {"supported": True}, {"supported": False}
    return {
        "batch": no,
        "citations": no,
        "code_execution": no,
        "context_management": no,
        "effort": {**yes, "low": yes, "medium": yes, "high": yes, "xhigh": yes, "max": yes},
        "image_input": {"supported": "image" in features},
        "pdf_input": {"supported": True},  # as text, where its engine reads none
        "server_tools": {**no, "web_search": no, "code_execution": no},
        "structured_outputs": {"supported": "json_schema" in features},
        "thinking": {
            **yes,
            "types": {"enabled": yes, "adaptive": yes, "between_tools": yes, "disabled": yes},
        },
    }


def page_of(models: Sequence[dict[str, Any]], query: bytes) -> dict[str, Any]:
    """query: raw; `limit`, `after_id`, `before_id` and `lifecycle` count.

    Raises: Refusal: a limit that is none, a cursor that names no model.
    """
    asked = parse_qs(query.decode("latin-1"))
    wanted = {*asked.get("lifecycle", ()), *asked.get("lifecycle[]", ())}
    found = list(models) if not wanted or "active" in wanted else []
    limit = _limit(asked.get("limit", [str(PAGE_DEFAULT)])[-1])
    ids = [model["id"] for model in found]
    if "before_id" in asked:
        end = _place("before_id", asked["before_id"][-1], ids)
        start = max(0, end - limit)
        page, more = found[start:end], start > 0
    else:
        start = _place("after_id", asked["after_id"][-1], ids) + 1 if "after_id" in asked else 0
        page, more = found[start : start + limit], len(found) > start + limit
    return {
        "data": page,
        "has_more": more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _limit(said: str) -> int:
    if said.isascii() and said.isdigit() and len(said) <= len(str(PAGE_MAX)):
        limit = int(said)
        if 1 <= limit <= PAGE_MAX:
            return limit
    raise diagnosis.out_of_range("limit", said, f"a number from 1 to {PAGE_MAX}", PAGE_MAX)


def _place(name: str, model: str, ids: list[str]) -> int:
    if model in ids:
        return ids.index(model)
    raise _unknown(name, model)


def _unknown(name: str, model: str) -> Refusal:
    return errors.INVALID_VALUE(
        f"{name!r} is {diagnosis.shown(model)}; it must be the id of a model of this list.",
        field=name,
        value=diagnosis.brief(model),
        limit="an id of the list",
    )

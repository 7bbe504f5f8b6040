"""What a provider's failure means, whichever dialect it is told in.

The caller's fault is a Refusal that no other engine would change.  A provider's word on keys, money
and models is the operator's affair: callers are told that the engine is not set up, never why.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from portico import errors
from portico.errors import Refusal

_TOO_LONG = re.compile(
    r"context[_ ](?:length|window|size)|prompt is too long|input token count"
    r"|maximum (?:number of )?(?:context|tokens)|too many (?:input )?tokens",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"(?<!\d)\d{3,12}(?!\d)")
_OPERATORS = re.compile(
    r"api[_ ]key|credit balance|billing|quota|permission|not been used in project", re.IGNORECASE
)
_BAD_SCHEMA = re.compile(r"schema", re.IGNORECASE)
_WORDS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Told:
    """status: HTTP, or what the error's kind stands for inside a stream.
    message: the provider's own words.  code: its name for the error.  field: what it is about.
    retry_after_ms: when to come back, None where it does not say."""

    status: int
    message: str = ""
    code: str = ""
    field: str | None = None
    retry_after_ms: int | None = None


def meaning(told: Told) -> Refusal:
    """The refusal for it; `entry.fault` is "caller" only where the request itself is wrong."""
    status = told.status
    if status in (400, 413, 415, 422):
        return _wrong_request(told)
    if status in (429, 503, 529):
        return errors.UPSTREAM_BUSY(
            "The engine behind this model is busy.", retry_after_ms=told.retry_after_ms or 1_000
        )
    if status in (401, 402, 403, 404, 405):
        return _not_set_up()
    if status in (408, 499, 504):
        return errors.UPSTREAM_TIMEOUT("The engine says that it ran out of time.")
    if status == 501:
        return errors.UNSUPPORTED_FEATURE(f"The engine cannot do this: {_words(told)}")
    return errors.UPSTREAM_FAILED(f"The engine failed with status {status}.")


def _wrong_request(told: Told) -> Refusal:
    if _TOO_LONG.search(f"{told.code} {told.message}"):
        return _too_long(told)
    if _OPERATORS.search(f"{told.code} {told.message}"):
        return _not_set_up()
    if _BAD_SCHEMA.search(told.message):
        return errors.INVALID_SCHEMA(
            f"The engine cannot use the schema: {_words(told)}", field=told.field
        )
    return errors.UPSTREAM_REFUSED(
        f"The engine refused the request: {_words(told)}", field=told.field
    )


def _not_set_up() -> Refusal:
    return errors.ENGINE_UNAVAILABLE("The engine behind this model is not set up correctly.")


def _too_long(told: Told) -> Refusal:
    numbers = sorted(int(each) for each in _NUMBERS.findall(told.message)[:2])
    if len(set(numbers)) != 2:
        return errors.CONTEXT_LENGTH(f"The prompt and its answer do not fit: {_words(told)}")
    limit, has = numbers
    return errors.CONTEXT_LENGTH(
        f"The prompt is {has} tokens long; the model takes {limit}.", value=has, limit=limit
    )


def _words(told: Told) -> str:
    text = " ".join(told.message[:_WORDS_MAX].split()) or "it does not say why"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def error_object(body: bytes) -> dict[str, Any]:
    """The `error` member of a body; {} where it has none, or is no JSON object."""
    try:
        whole = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if isinstance(whole, list):  # a stream that is one JSON array fails inside it
        whole = whole[0] if whole else {}
    inner = whole.get("error") if isinstance(whole, dict) else None
    if isinstance(inner, str):
        return {"message": inner}
    return inner if isinstance(inner, dict) else {}


def text_in(error: dict[str, Any], name: str) -> str:
    value = error.get(name)
    return value if isinstance(value, str) else ""

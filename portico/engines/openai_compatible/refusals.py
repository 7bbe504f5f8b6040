"""Errors: what an upstream's failure means, in the words of the catalogue.  Pure.

Three culprits.  The caller (the request is wrong wherever it goes): a Refusal.  The upstream or
the network: UpstreamFailed, so that another deployment is tried.  The operator (wrong key, wrong
model name): UpstreamFailed as well, told to the caller as "engine unavailable" and to the log in
full; an upstream's 401 never becomes the caller's 401.
"""

import re
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from portico import errors
from portico.canon.prompt import Prompt
from portico.engines.base import UpstreamFailed
from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Headers, TransportFailed
from portico.observe.log import redact

_MESSAGE_CHARS = 400
_RETRY_AFTER_MS_MAX = 3_600_000
_TIMEOUT_STAGES = frozenset({"first_byte", "idle", "total"})

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TOO_LONG = re.compile(
    r"context[_ ](?:length|window|size)[_ ]?exceed|exceeds? the (?:available|maximum)? ?context"
    r"|maximum context length|longer than the model's context|context_length_exceeded",
    re.IGNORECASE,
)
# From the first digit of a number only, and no longer than one is: an engine may quote its caller.
_TOKENS = re.compile(r"(?<!\d)(\d{1,12}) (?:input )?tokens")
_BAD_SCHEMA = re.compile(
    r"json schema|response_format schema|invalid schema|failed to parse grammar|grammar error"
    r"|unsupported schema",
    re.IGNORECASE,
)
_NO_SUCH_FEATURE = re.compile(r"(image|audio|video) input is not supported", re.IGNORECASE)


class EngineLost(UpstreamFailed):
    """The connection could not be made or broke.  `began`: part of the answer was relayed."""

    def __init__(self, refusal: errors.Refusal, *, began: bool) -> None:
        super().__init__(refusal)
        self.began = began


def broken(failed: TransportFailed, *, began: bool) -> UpstreamFailed:
    """The exchange broke at a stage."""
    if failed.stage == "connect":
        refusal = errors.ENGINE_UNAVAILABLE(
            "The engine behind this model cannot be reached.", retry_after_ms=1_000
        )
        return EngineLost(refusal, began=began)
    if failed.stage in _TIMEOUT_STAGES:
        return UpstreamFailed(errors.UPSTREAM_TIMEOUT(_LATE[failed.stage]))
    if failed.stage in ("lost", "write"):
        refusal = errors.UPSTREAM_FAILED("The engine broke off before the answer was complete.")
        return EngineLost(refusal, began=began)
    return garbage("its response was not valid HTTP or too large")


_LATE = {
    "first_byte": "The engine did not begin to answer in time.",
    "idle": "The engine fell silent in the middle of the answer.",
    "total": "The answer took longer than this server allows.",
}


def garbage(what: str) -> UpstreamFailed:
    """It answered, but not with an answer.  `what`: our words, never the upstream's bytes."""
    return UpstreamFailed(errors.UPSTREAM_FAILED(f"The engine's answer was unusable: {what}."))


class Said:
    """The error body of an upstream: {"error": {...}}, or flat, or {"detail": ...}, or no JSON."""

    __slots__ = ("code", "message", "prompt_tokens", "shown", "tokens_max")

    def __init__(self, body: bytes, server: Server) -> None:
        inner = _error_object(body)
        message = inner.get("message") or inner.get("detail") or ""
        self.message = message if isinstance(message, str) else ""
        self.code = f"{inner.get('type', '')} {inner.get('code', '')}"
        self.prompt_tokens = _count(inner.get("n_prompt_tokens"))
        self.tokens_max = _count(inner.get("n_ctx"))
        self.shown = sanitised(self.message, server)


def refused(
    status: int, headers: Headers, body: bytes, prompt: Prompt, server: Server
) -> errors.Refusal | UpstreamFailed:
    """What a status other than 200 means.  To be raised."""
    said = Said(body, server)
    if status in (400, 413, 422) or (status == 500 and _NO_SUCH_FEATURE.search(said.message)):
        return _callers_fault(said, prompt)
    if status == 501:
        return _unsupported(said, prompt)
    if status in (429, 503, 529):
        busy = "The engine behind this model is busy."
        return UpstreamFailed(errors.UPSTREAM_BUSY(busy, retry_after_ms=retry_after_ms(headers)))
    if status in (401, 402, 403, 404, 405):
        return UpstreamFailed(
            errors.ENGINE_UNAVAILABLE("The engine behind this model is not set up correctly.")
        )
    if status in (408, 504):
        return UpstreamFailed(errors.UPSTREAM_TIMEOUT("The engine says that it ran out of time."))
    if 400 < status < 500:
        return errors.UPSTREAM_REFUSED(_words(said))
    if 300 <= status < 400:
        return garbage("it redirects, which is not followed")
    return UpstreamFailed(errors.UPSTREAM_FAILED(f"The engine failed with status {status}."))


def lacking(prompt: Prompt) -> errors.Refusal:
    """The server turned out to have no such route."""
    can = ", ".join(sorted(prompt.needs)) or prompt.dialect
    return errors.UNSUPPORTED_FEATURE(
        f"The model {prompt.model!r} cannot do: {can}.", field="model", value=prompt.model
    )


def retry_after_ms(headers: Headers) -> int:
    """When the upstream says to come back: `retry-after-ms`, or `retry-after` in seconds or as a
    date (measured against the upstream's own clock); 1 s when it does not say."""
    found = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in headers}
    said = found.get("retry-after-ms", "")
    if said.isdigit():
        return _bounded(int(said[:9]))
    said = found.get("retry-after", "")
    if said.isdigit():
        return _bounded(int(said[:9]) * 1_000)
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(found["date"])
    except (ValueError, TypeError, KeyError):
        return 1_000
    return _bounded(int(wait.total_seconds() * 1_000))


def sanitised(message: str, server: Server) -> str:
    """An upstream's words, fit to be shown: one line, bounded, without keys and without where
    the upstream lives."""
    text = _UNPRINTABLE.sub(" ", redact(message))
    origin = server.origin
    for private in (f"{origin.host}:{origin.port}", origin.host):
        text = text.replace(private, "the engine")
    text = text.strip()
    return text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 1] + "…"


def _callers_fault(said: Said, prompt: Prompt) -> errors.Refusal:
    if "exceed_context_size" in said.code or _TOO_LONG.search(f"{said.code} {said.message}"):
        return _too_long(said)
    if _BAD_SCHEMA.search(said.message):
        field = "response_format" if "json_schema" in prompt.needs else "tools"
        return errors.INVALID_SCHEMA(f"The engine cannot use the schema: {said.shown}", field=field)
    if _NO_SUCH_FEATURE.search(said.message):
        return _unsupported(said, prompt)
    return errors.UPSTREAM_REFUSED(_words(said))


def _too_long(said: Said) -> errors.Refusal:
    numbers = sorted(int(n) for n in _TOKENS.findall(said.message))
    has = said.prompt_tokens or (numbers[-1] if len(numbers) > 1 else None)
    limit = said.tokens_max or (numbers[0] if numbers else None)
    if has is None or limit is None:
        return errors.CONTEXT_LENGTH(
            "The messages are longer than the model's context.", field="messages", limit=limit
        )
    return errors.CONTEXT_LENGTH(
        f"The messages are {has} tokens long; the model has a context of {limit} tokens for "
        "input and output together.",
        field="messages",
        value=has,
        limit=limit,
    )


def _unsupported(said: Said, prompt: Prompt) -> errors.Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"The model {prompt.model!r} cannot do this: {said.shown or 'the engine lacks it'}",
        field="model",
        value=prompt.model,
    )


def _words(said: Said) -> str:
    return f"The engine refused the request: {said.shown or 'it did not say why'}"


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        whole = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(whole, dict):
        return {}
    inner = whole.get("error")
    if isinstance(inner, str):
        return {"message": inner}
    return inner if isinstance(inner, dict) else whole


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _bounded(milliseconds: int) -> int:
    return max(0, min(milliseconds, _RETRY_AFTER_MS_MAX))

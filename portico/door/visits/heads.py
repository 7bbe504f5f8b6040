"""Heads of requests and answers, as lines."""

from functools import lru_cache

from portico.canon.prompt import Prompt
from portico.dialects.losses import header
from portico.door.lines import JSON, line

STREAM = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\n"
)
_HINT = b"x-portico-"
_ARRAY = JSON + b"x-accel-buffering: no\r\n"

COST_LINE = b"portico-cost-nano-usd: %d\r\n"
COST_COMMENT = b": portico-cost-nano-usd %d\n\n"
"""In a stream: known only at its end, when no header can follow, and no client trips over it."""


def head_of(prompt: Prompt) -> bytes:
    """Header lines about the answer, whoever gets it."""
    kind = JSON
    if prompt.stream:
        kind = STREAM if prompt.framing == "events" else _ARRAY
    if prompt.warnings:
        kind += line("portico-warnings", header(prompt.warnings))
    return kind


@lru_cache(maxsize=1_024)
def served_by(deployment: str, tier: str) -> bytes:
    """Header lines about who answers, and as what."""
    return line("portico-deployment", deployment) + line("portico-service-tier", tier)


def hints_of(headers: dict[bytes, bytes]) -> dict[str, str]:
    if b"\n".join(headers).find(_HINT) < 0:  # nearly always
        return {}
    return {
        name.decode("ascii"): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(_HINT)
    }

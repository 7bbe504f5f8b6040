"""What is left of limits per minute, in the headers of each dialect.  Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from portico.rates.model import Left, Standing

_OPENAI = "x-ratelimit"
_ANTHROPIC = "anthropic-ratelimit"


def openai(standing: Standing) -> bytes:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`: tokens are those of the input, of
    which OpenAI's guides speak; what is generated has lines of its own."""
    lines = []
    for name, left in (
        ("requests", standing.requests),
        ("tokens", standing.input_tokens or standing.output_tokens),
        ("output-tokens", standing.output_tokens),
    ):
        if left is not None:
            lines.append(f"{_OPENAI}-limit-{name}: {left.limit}\r\n")
            lines.append(f"{_OPENAI}-remaining-{name}: {left.remaining}\r\n")
            lines.append(f"{_OPENAI}-reset-{name}: {duration(left.reset_s)}\r\n")
    return "".join(lines).encode("ascii")


def anthropic(standing: Standing) -> bytes:
    """`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`."""
    return "".join(_anthropic(standing)).encode("ascii")


def duration(seconds: float) -> str:
    """As OpenAI writes it: `250ms`, `1s`, `6m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _anthropic(standing: Standing) -> Iterator[str]:
    for name, left in (
        ("requests", standing.requests),
        ("tokens", _tighter(standing.input_tokens, standing.output_tokens)),
        ("input-tokens", standing.input_tokens),
        ("output-tokens", standing.output_tokens),
    ):
        if left is not None:
            resets = datetime.fromtimestamp(standing.at_ms / 1000 + left.reset_s, UTC)
            yield f"{_ANTHROPIC}-{name}-limit: {left.limit}\r\n"
            yield f"{_ANTHROPIC}-{name}-remaining: {left.remaining}\r\n"
            yield f"{_ANTHROPIC}-{name}-reset: {resets:%Y-%m-%dT%H:%M:%SZ}\r\n"


def _tighter(one: Left | None, other: Left | None) -> Left | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda left: left.remaining)

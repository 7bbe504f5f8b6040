"""What the door needs of a dialect; the dialects themselves are pure and know no door."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from portico.callers.scopes import GENERATE
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.door.lines import refusal_lines
from portico.errors import Refusal
from portico.rates import told
from portico.rates.model import Standing


class Writer(Protocol):
    """Writes one answer in its dialect."""

    def write(self, delta: Delta) -> bytes:
        """Streams: the bytes of `delta`, b"" when it has nothing to show; the final events come
        with the last one.  Not a stream: the whole body, with the last delta."""
        ...

    def ping(self) -> bytes:
        """What a stream says when there is nothing to say, so that nobody on the way takes it for
        dead; b"" where the dialect has nothing harmless."""
        ...


@runtime_checkable
class Breaking(Protocol):
    """A writer whose terminal event depends on what it wrote before."""

    def fail(self, refusal: Refusal) -> bytes:
        """The terminal events of a stream that has begun, in the place of `Dialect.event`."""
        ...


def _named(request_id: bytes) -> bytes:
    return b"x-request-id: %b\r\n" % request_id


def _lenient(_: Prompt) -> None:
    return


def _status(refusal: Refusal) -> int:
    return refusal.status


def _passage(request_id: bytes, spent_ms: float) -> bytes:
    return b"x-request-id: %b\r\nopenai-processing-ms: %d\r\n" % (request_id, spent_ms)


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    parse: body and hint headers to a Prompt.  Where the path or the query says something too,
      they are there as ":rest" (what `{id}` stood for) and ":query".  Raises: Refusal.
    writer: of one answer, given its prompt, its id and when it began (Unix seconds).
    envelope: a refusal, and the request's id, as the body of its own answer; headers: what goes
      with it.  event: the same as the terminal event of a stream that has begun.
    specimen: the smallest valid request, as a document; body: the type requests are checked
      against; summary: what the route that generates is for.
    named: header lines that name the request; passage: the same on an answer, where it is also
      told how long we had it (milliseconds).
    status: of a refusal; the catalogue's own where the dialect has no other.
    comments: do its clients pass over comments in a stream of events?
    strict: what a strict key is refused of a prompt that was parsed.  Raises: Refusal.
    scope: what a key needs to ask in it.
    limits: header lines about what is left of limits per minute.
    """

    parse: Callable[[bytes, dict[str, str]], Prompt]
    writer: Callable[[Prompt, str, int], Writer]
    envelope: Callable[[Refusal, str], bytes]
    headers: Callable[[Refusal], Iterable[tuple[bytes, bytes]]]
    event: Callable[[Refusal, str], bytes]
    specimen: Mapping[str, Any]
    body: type | None = None
    summary: str = ""
    named: Callable[[bytes], bytes] = _named
    passage: Callable[[bytes, float], bytes] = _passage
    status: Callable[[Refusal], int] = _status
    comments: bool = True
    strict: Callable[[Prompt], None] = _lenient
    scope: str = GENERATE
    limits: Callable[[Standing], bytes] = told.openai

    def render(self, refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
        """Header lines and body of a refusal."""
        lines = refusal_lines(refusal, self.headers(refusal))
        if refusal.standing is not None:
            lines += self.limits(refusal.standing)
        return self.named(request_id.encode("ascii")) + lines, self.envelope(refusal, request_id)

"""What the door needs of a dialect; the dialects themselves are pure and know no door."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.door.lines import refusal_lines
from portico.errors import Refusal


class Writer(Protocol):
    """Writes one answer in its dialect."""

    def write(self, delta: Delta) -> bytes:
        """Streams: the bytes of `delta`, b"" when it has nothing to show; the final events come
        with the last one.  Not a stream: the whole body, with the last delta."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    parse: body and hint headers to a Prompt.  Raises: Refusal.
    writer: of one answer, given its prompt, its id and when it began (Unix seconds).
    envelope: a refusal as the body of its own answer; headers: what goes with it.
    event: a refusal as the terminal event of a stream that has begun.
    specimen: the smallest valid request, as a document.
    """

    parse: Callable[[bytes, dict[str, str]], Prompt]
    writer: Callable[[Prompt, str, int], Writer]
    envelope: Callable[[Refusal], bytes]
    headers: Callable[[Refusal], Iterable[tuple[bytes, bytes]]]
    event: Callable[[Refusal], bytes]
    specimen: Mapping[str, Any]

    def render(self, refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
        """Header lines and body of a refusal."""
        lines = refusal_lines(refusal, request_id, self.headers(refusal))
        return lines, self.envelope(refusal)

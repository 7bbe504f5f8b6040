"""What the door needs of a dialect; portico/dialects has them."""

from typing import Protocol

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.errors import Refusal


class Writer(Protocol):
    """Writes one answer in its dialect."""

    def write(self, delta: Delta) -> bytes:
        """Streams: the bytes of `delta`, b"" when it has nothing to show; with the last one come
        the final events.  Not a stream: the whole body, with the last delta."""
        ...


class Dialect(Protocol):
    def parse(self, body: bytes) -> Prompt:
        """Raises: Refusal."""
        ...

    def writer(self, prompt: Prompt, request_id: str, created_s: int) -> Writer: ...

    def envelope(self, refusal: Refusal, request_id: str) -> bytes:
        """A refusal as the body of its own answer."""
        ...

    def event(self, refusal: Refusal, request_id: str) -> bytes:
        """A refusal as the terminal event of a stream that has begun."""
        ...

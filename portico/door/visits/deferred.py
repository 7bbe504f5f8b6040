"""What is asked for now, and answered when nobody waits any more."""

from typing import Protocol

from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.door.dialect import Writer
from portico.door.visits.carrier import Carrier
from portico.errors import Refusal
from portico.resources.responses.keeper import Keeper
from portico.resources.responses.rules import said_in


class Deferred(Exception):
    """It was read and found right, and is to be answered later.

    body: as it was sent, decoded.
    """

    def __init__(
        self, caller: Caller, prompt: Prompt, keeper: Keeper, writer: Writer, body: bytes
    ) -> None:
        super().__init__()
        self.caller = caller
        self.prompt = prompt
        self.keeper = keeper
        self.writer = writer
        self.body = body


class Retried(Exception):
    """It was not found right now, and names a key under which it may have been before."""

    def __init__(self, caller: Caller, body: bytes, refusal: Refusal) -> None:
        super().__init__()
        self.caller = caller
        self.body = body
        self.refusal = refusal


class Later(Protocol):
    async def defer(self, exchange: Carrier, deferred: Deferred) -> None:
        """Raises: Refusal; Left."""
        ...

    async def again(self, exchange: Carrier, retried: Retried) -> None:
        """Raises: Refusal: the one it was met with, where it is new; Left."""
        ...


def is_deferred(body: bytes) -> bool:
    """Does it ask for that?"""
    said = said_in(body) if b'"background"' in body else None
    return said is not None and said.background is True

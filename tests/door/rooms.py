"""Rooms behind the door: real admission and routing, a scripted engine, books that leave facts."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from portico import errors
from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.callers.model import Caller
from portico.canon.conversation import Conversation
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT, obeyed
from portico.door.dialect import Dialect
from portico.engines.base import Abilities, Relay
from portico.journey import Rooms
from portico.kit.clock import SystemClock
from portico.routing.model import Deployment
from portico.routing.service import Routing

NO_KEYS: Any = None
"""What a door needs whose callers send no Idempotency-Key."""
CALLER = Caller("key_a", "proj_a", "org_a", "live", 5_000)
Script = Callable[[Prompt, Relay], Awaitable[None]]


def parse(body: bytes, hints: dict[str, str]) -> Prompt:
    try:
        asked = json.loads(body)
    except ValueError:
        raise errors.INVALID_JSON("The body is not JSON.") from None
    return Prompt(
        dialect="plain",
        model=asked.get("model", "m"),
        stream=asked.get("stream", False),
        body=body,
        fields={},
        wants_usage=False,
        choices=1,
        output_tokens_max=None,
        input_tokens_guess=1,
        needs=frozenset(),
        conversation=lambda: Conversation(()),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
        warnings=asked.get("warnings", []),
    )


class PlainWriter:
    def __init__(self, prompt: Prompt, request_id: str, began_s: int) -> None:
        self._stream = prompt.stream
        self._parts: list[bytes] = []

    def write(self, delta: Delta) -> bytes:
        if self._stream:
            return delta.raw
        self._parts.append(delta.raw)
        return b"".join(self._parts) if delta.last else b""

    def ping(self) -> bytes:
        return b"~" if self._stream else b""


PLAIN = Dialect(
    parse=parse,
    writer=PlainWriter,
    envelope=lambda refusal, _: json.dumps(
        {"error": {"message": refusal.message, "code": refusal.code}}
    ).encode(),
    headers=lambda refusal: [(b"x-should-retry", b"false")],
    event=lambda refusal, _: b"!" + refusal.code.encode(),
    specimen={},
)


@dataclass
class Books:
    """Callers and metering in one: what was opened and how it ended."""

    opened: list[str] = field(default_factory=list)
    settled: list[tuple[str, int]] = field(default_factory=list)
    settling: asyncio.Event = field(default_factory=asyncio.Event)
    slow: asyncio.Event | None = None
    fails: errors.Refusal | None = None

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        if credential != "pk_good":
            raise errors.INVALID_KEY("This key is unknown.")
        return CALLER

    def offer(self, caller: Caller, prompt: Prompt, context_tokens: int | None) -> None:
        """Nothing costs anything here."""

    def sells(self, caller: Caller, model: str) -> bool:
        return True

    def open(self, arrival: Any, caller: Caller, prompt: Prompt, permit: Any) -> "Entry":
        self.opened.append(arrival.request_id)
        return Entry()

    async def settle(self, record: "Entry", outcome: str) -> None:
        self.settled.append((outcome, record.tokens))
        self.settling.set()
        await asyncio.sleep(0)
        if self.slow is not None:
            await self.slow.wait()
        if self.fails is not None:
            raise self.fails


class Entry:
    def __init__(self) -> None:
        self.usage = self
        self.started = False
        self.tokens = 0
        self.deployment = ""
        self.purse = self.settled = None

    def count(self, delta: Delta) -> None:
        self.started = True
        self.tokens += delta.output_tokens


@dataclass
class Scripted:
    """An engine that plays one script and remembers whether it was stopped."""

    script: Script
    ready: bool = True
    abilities: Abilities = field(default_factory=lambda: Abilities(frozenset(), None, 10_000))
    running: int = 0
    asked: list[Prompt] = field(default_factory=list)

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        self.running += 1
        self.asked.append(prompt)
        try:
            await self.script(prompt, relay)
        finally:
            self.running -= 1

    async def close(self) -> None: ...


def rooms(books: Books, engine: Scripted) -> Rooms:
    admission = Admission(QueueLimits(10, 5.0), SystemClock())
    routing = Routing([Deployment("test/m", "m", engine, "us", 0)])
    both: Any = books
    return Rooms(callers=both, routing=routing, admission=admission, metering=both, counter=both)


def says(*pieces: bytes) -> Script:
    """One delta per piece, a turn of the loop apart, and the end."""

    async def script(prompt: Prompt, relay: Relay) -> None:
        for piece in pieces:
            await relay(Delta(raw=piece, output_tokens=1))
            await asyncio.sleep(0)
        await relay(Delta(raw=b".", last=True))

    return script

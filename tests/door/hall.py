"""The door with a WebSocket in it, and what a client says there."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from portico import errors
from portico.callers.model import Caller
from portico.canon.delta import Delta, Finished, Text
from portico.canon.prompt import Prompt
from portico.door.dispatch import Dispatch
from portico.door.limits import EdgeLimits
from portico.door.routes import Route, Routes
from portico.door.sockets.endpoint import Sockets
from portico.door.sockets.socket import SocketLimits
from portico.door.visits.generation import Knowing
from portico.door.visits.preparing import Preparing
from portico.engines.base import Relay, UpstreamFailed
from portico.kit.leaving import REVOKED, Leaving
from portico.resources.responses.rules import said_in
from portico.resources.responses.states import Turn
from tests.db.storage import HandClock
from tests.door.rooms import NO_KEYS, Books, Script, Scripted, rooms
from tests.door.scene import PATIENT_S, QUICK, Scene, Watching, serving
from tests.door.test_responses import RESPONSES

PATH = "/v1/responses"
HOME = "https://pages.test"
OPENING = {
    "Host": "door.test",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Authorization": "Bearer pk_good",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Of that key, by the RFC."""


class Told(Books):
    """Tells keepers how their requests ended, as metering does."""

    def open(self, arrival: Any, caller: Caller, prompt: Prompt, permit: Any) -> Any:
        entry: Any = super().open(arrival, caller, prompt, permit)
        entry.keeper = arrival.keeper
        return entry

    async def settle(self, record: Any, outcome: str) -> None:
        if record.keeper is not None:
            record.keeper.end(outcome)
        await super().settle(record, outcome)


class Nothing:
    """In the place of `States`: nothing is stored."""

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        said = said_in(body)
        if said is not None and said.previous_response_id is not None:
            raise errors.PREVIOUS_RESPONSE_NOT_FOUND("It is not kept here.")
        return Turn(body)

    def close(self, turn: Turn) -> None: ...


@dataclass
class Presence:
    here: dict[Leaving, str] = field(default_factory=dict)

    def enter(self, credential_id: str, leaving: Leaving) -> None:
        self.here[leaving] = credential_id

    def go(self, leaving: Leaving) -> None:
        self.here.pop(leaving, None)

    def revoke(self) -> None:
        for leaving in list(self.here):
            leaving.leave(REVOKED)


class Hall:
    """The door with a WebSocket in it."""

    def __init__(self, script: Script, socket_limits: SocketLimits | None = None) -> None:
        self.books = Told()
        self.engine = Scripted(script)
        self.presence = Presence()
        self.clock = HandClock()
        self.watching = Watching()
        made, presence = rooms(self.books, self.engine), self.presence
        who: Any = presence

        def generation(knowing: Knowing) -> Preparing:
            return Preparing(
                *(RESPONSES, made, self.clock, NO_KEYS),
                body_bytes_max=100_000,
                compression=False,
                presence=who,
                states=knowing,
            )

        self.sockets = Sockets(
            *(self.books, who, RESPONSES, Nothing(), generation, self.clock),
            socket_limits or SocketLimits(),
            frozenset({HOME}),
        )
        route = Route("GET", PATH, self.sockets.open, scope="generate")
        self.dispatch = Dispatch(Routes([route]), RESPONSES.render, self.watching)

    @asynccontextmanager
    async def open(self, edge: EdgeLimits = QUICK, **how: Any) -> AsyncIterator[Scene]:
        async with serving(
            self.dispatch.serve, edge, watching=self.watching, render=RESPONSES.render, **how
        ) as scene:
            scene.edge.clock = self.clock
            yield scene

    @asynccontextmanager
    async def socket(
        self, edge: EdgeLimits = QUICK, **how: Any
    ) -> AsyncIterator[tuple[Scene, ClientConnection]]:
        async with self.open(edge) as scene, joined(scene, **how) as socket:
            yield scene, socket

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not true():  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.005)


def joined(scene: Scene, **how: Any) -> connect:
    return connect(
        f"ws://127.0.0.1:{scene.port}{PATH}",
        additional_headers={"Authorization": "Bearer pk_good"},
        proxy=None,
        ping_interval=None,
        **how,
    )


def create(text: Any = "Hi", **more: Any) -> str:
    return json.dumps({"type": "response.create", "model": "m", "input": text, **more})


async def heard(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENT_S):
        event: dict[str, Any] = json.loads(await socket.recv())
        return event


ENDS = {"response.completed", "response.failed", "response.incomplete", "error"}


async def answer(socket: ClientConnection) -> list[dict[str, Any]]:
    """The events of one answer, to its end."""
    events = [await heard(socket)]
    while events[-1]["type"] not in ENDS:
        events.append(await heard(socket))
    return events


async def closed(socket: ClientConnection) -> int:
    async with asyncio.timeout(PATIENT_S):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as ended:
            return ended.rcvd.code if ended.rcvd is not None else 1006


def repeats(*, fails_at: str = "") -> Script:
    """Answers with the last thing it was told."""

    async def script(prompt: Prompt, relay: Relay) -> None:
        last = json.loads(prompt.body)["input"]
        text = last if isinstance(last, str) else str(last[-1]["content"])
        if fails_at and fails_at in text:
            raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over."))
        await relay(Delta(events=(Text("you said"),), output_tokens=2))
        await relay(Delta(events=(Finished("stop"),), last=True))

    return script


class Gate:
    """An engine that says a word and waits."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(events=(Text("one"),), output_tokens=1))
        await self.go.wait()
        await relay(Delta(events=(Text(" two"),), output_tokens=1))
        await relay(Delta(events=(Finished("stop"),), last=True))


def opening(body: bytes = b"", path: str = PATH, **changed: str | None) -> bytes:
    fields = {**OPENING, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines]).encode() + b"\r\n\r\n" + body


def frame(
    payload: bytes = b"", opcode: int = 1, *, fin: bool = True, masked: bool = True, bits: int = 0
) -> bytes:
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([mask | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def told(prompt: Prompt) -> str:
    """Everything an engine was told, as its dialect has it."""
    return json.dumps(json.loads(prompt.body)["input"])

"""A small world for the journey: scripted rooms that leave facts."""

import asyncio
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from portico import errors
from portico.admission.holds import OutOfFunds
from portico.callers.model import Caller
from portico.canon.conversation import Conversation
from portico.canon.data_use import DataUse
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Usage
from portico.engines.base import Abilities, Relay, UpstreamFailed
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving, Left
from portico.routing.model import Deployment
from portico.routing.service import Routes, Routing

CALLER = Caller("key_a", "proj_a", "org_a", "live", 10)
PROMPT = Prompt(
    dialect="openai_chat",
    model="m",
    stream=True,
    body=b"{}",
    fields={},
    wants_usage=False,
    choices=1,
    output_tokens_max=None,
    input_tokens_guess=1,
    needs=frozenset(),
    conversation=lambda: Conversation(()),
)


@dataclass(frozen=True)
class Script:
    """deltas: pushed before the last one.  fails_at: raise before pushing this one (None: never).
    how: "ours" fails over, "caller" is a refusal, "silent" returns without an end, "off schema" is
    found when the answer is whole."""

    deltas: int
    fails_at: int | None = None
    how: str = "ours"


@dataclass
class World:
    """Lives one journey of the given module (the real one or a mutant) and keeps the facts."""

    journey: ModuleType
    scripts: list[Script]
    hangs_up_after: int | None = None
    pays_for: int | None = None
    """Output tokens the caller has money for; None: nothing is charged."""
    leaves_when_admitted: str = ""
    """The reason for leaving before any engine is asked; "": stays."""
    facts: list[str] = field(default_factory=list)
    settled: list[tuple[str, int]] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    """What routing remembers of each try."""
    produced: int = 0
    sent: list[str] = field(default_factory=list)
    ended: str = ""
    used: Usage | None = None
    """By what its limits per minute are settled."""

    def live(self) -> "World":
        asyncio.run(self._live())
        return self

    async def _live(self) -> None:
        self.leaving = Leaving()
        rooms: Any = type("Rooms", (), {})()
        rooms.callers = rooms.routing = rooms.admission = rooms.metering = rooms.counter = self
        task = asyncio.get_running_loop().create_task(self.journey.serve(self, self, rooms))
        try:
            await asyncio.wait_for(task, 5)
            self.ended = "answered"
        except errors.Refusal as refusal:
            self.ended = refusal.code
        except Left:
            self.ended = "left"
        except asyncio.CancelledError:
            self.ended = "cancelled"

    # the door
    request_id, arrived_s, credential, claim = "req_1", 0.0, "pk", None
    scope, address = "generate", ""

    async def read(self, caller: Caller) -> Prompt:
        return PROMPT

    def admitted(self, permit: "World") -> None:
        self.facts.append(f"told {permit.lines().decode()}")

    def served_by(self, deployment: str) -> None:
        self.facts.append(f"by {deployment}")

    def compose(self, final: Delta) -> None:
        self.facts.append("composed")

    async def send(self, delta: Delta) -> None:
        if delta.cut:
            self.facts.append(f"sent {delta.finish}: {delta.cut}")
            return
        self.facts.append(f"sent {delta.raw.decode()}")
        self.sent.append(delta.raw.decode())
        if self.hangs_up_after == len(self.sent):
            asyncio.get_running_loop().call_soon(self.leaving.leave, "hung up")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    # callers, routing, admission
    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        return CALLER

    def choose(
        self, prompt: Prompt, data_use: DataUse, models: frozenset[str] | None = None
    ) -> Routes:
        engines = [
            ScriptedEngine(self, name, s) for name, s in zip("abc", self.scripts, strict=False)
        ]
        deployments = [Deployment(e.name, "m", e, "us", 0) for e in engines]
        routing = Routing(deployments, SystemClock(), self)
        return routing.choose(prompt, data_use, models)

    def tried(self, model: str, deployment: str, result: str) -> None:
        self.noted.append((deployment, result))

    def offer(self, caller: Caller, prompt: Prompt, context_tokens: int | None) -> None:
        self.facts.append("priced")

    async def admit(
        self,
        request_id: str,
        caller: Caller,
        to: Routes,
        offer: None,
        leaving: Leaving,
        input_tokens: int,
    ) -> "World":
        self.facts.append("admitted")
        return self

    def lines(self) -> bytes:
        return b"what is left"

    def release(self) -> None:
        self.facts.append("released")

    # metering
    def open(self, arrival: Any, caller: Caller, prompt: Prompt, permit: Any) -> "Record":
        self.facts.append("opened record")
        if self.leaves_when_admitted:
            self.leaving.leave(self.leaves_when_admitted)
        return Record(self.pays_for)

    async def settle(self, record: "Record", outcome: str) -> None:
        self.settled.append((outcome, record.usage.meters().output_tokens))
        self.facts.append(f"settled {outcome}")
        await asyncio.sleep(0)


class Record:
    settled = None

    def __init__(self, pays_for: int | None) -> None:
        self.usage = Usage()
        self.deployment = ""
        self.purse = None if pays_for is None else Purse(pays_for)

    @property
    def output_tokens(self) -> int:
        return self.usage.counted_output

    def count(self, delta: Delta) -> None:
        self.usage.started = True
        self.usage.counted_output += delta.output_tokens


@dataclass
class Purse:
    pays_for: int

    async def cover(self, output_tokens: int) -> None:
        await asyncio.sleep(0)
        if output_tokens > self.pays_for:
            raise OutOfFunds(errors.CREDIT_EXHAUSTED("No more."))


class ScriptedEngine:
    ready = True
    abilities = Abilities(frozenset(), None, 1)

    def __init__(self, world: World, name: str, script: Script) -> None:
        self.world, self.name, self.script = world, name, script

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        world, script = self.world, self.script
        world.facts.append(f"{self.name} opened")
        try:
            for index in range(script.deltas + 1):
                if index == script.fails_at:
                    self._fail()
                    return
                world.produced += 1
                last = index == script.deltas
                await relay(Delta(raw=self.name.encode(), output_tokens=1, last=last))
        finally:
            world.facts.append(f"{self.name} closed")

    def _fail(self) -> None:
        if self.script.how == "caller":
            raise errors.UPSTREAM_REFUSED("no")
        if self.script.how == "off schema":
            raise errors.SCHEMA_NOT_FOLLOWED("no")
        if self.script.how == "ours":
            raise UpstreamFailed(errors.UPSTREAM_FAILED("broke"))

    async def close(self) -> None: ...

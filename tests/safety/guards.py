"""A guard model's double on a real socket, and a guard that asks it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from portico.canon.moderation import CATEGORIES, Item
from portico.engines.openai_compatible.server import server_at
from portico.engines.transport.native import NativeTransport
from portico.safety.guard.forms import Form, Moderations, SafeOrUnsafe
from portico.safety.guard.guard import Guard, Terms
from tests.engines.transport.upstream import Peer, Script, Upstream, sized

AS_MODERATIONS = Moderations("omni", sees=False)
THAT_SEES = Moderations("omni", sees=True)
LLAMA_GUARD = SafeOrUnsafe("llama-guard")
TERMS = Terms("watch", 5.0, 4, "closed", "own")


@dataclass
class HandClock:
    now_s: float = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 0


@dataclass
class Watching:
    results: list[str] = field(default_factory=list)

    def tried(self, model: str, deployment: str, result: str) -> None:
        assert (model, deployment) == ("watch", "guard")
        self.results.append(result)


@dataclass
class Scene:
    guard: Guard
    upstream: Upstream
    clock: HandClock
    watching: Watching

    @property
    def asked(self) -> list[Any]:
        return [json.loads(request.body) for request in self.upstream.requests]


@asynccontextmanager
async def guarded(
    script: Script, form: Form = AS_MODERATIONS, terms: Terms = TERMS
) -> AsyncIterator[Scene]:
    upstream, transport = Upstream(script), NativeTransport()
    await upstream.open()
    clock, watching = HandClock(), Watching()
    server = server_at(f"http://127.0.0.1:{upstream.origin.port}/v1", "sk-guard")
    try:
        guard = Guard(terms, form, server, transport, clock, watching)
        yield Scene(guard, upstream, clock, watching)
    finally:
        await transport.close()
        await upstream.close()


def items(*texts: str) -> list[Item]:
    return [Item(f"input[{at}]", text) for at, text in enumerate(texts)]


def result(**scores: float) -> dict[str, Any]:
    """Of one text; a category that is not named is 0.  `self_harm__intent` is self-harm/intent."""
    named = {name.replace("__", "/").replace("_", "-"): score for name, score in scores.items()}
    given = {name: named.get(name, 0.0) for name in CATEGORIES}
    return {
        "flagged": any(score >= 0.5 for score in given.values()),
        "categories": {name: score >= 0.5 for name, score in given.items()},
        "category_scores": given,
        "category_applied_input_types": {name: ["text"] for name in given},
    }


def judged(*results: dict[str, Any]) -> bytes:
    return sized(json.dumps({"id": "modr-1", "model": "omni", "results": results}).encode())


def chatted(content: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    return sized(json.dumps({"choices": [choice]}).encode())


def each(*answers: bytes) -> Script:
    """One answer after the other, on whatever connection; then silence."""
    left: list[bytes] = list(answers)

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if not left:
                await peer.until_client_closes()
                return
            await peer.send(left.pop(0))

    return script


def by_text(answers: dict[str, bytes]) -> Script:
    """A chat's answer by what it was asked about."""

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await peer.send(answers[json.loads(request.body)["messages"][0]["content"]])

    return script


def flagged(judgements: Sequence[Any]) -> list[Any]:
    return [judgement.flagged for judgement in judgements]

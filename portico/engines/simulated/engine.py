"""Paces a script and pushes it; breaks it off where it was asked to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import get_args

from portico import errors
from portico.canon.prompt import Feature, Prompt
from portico.engines.apart import one_by_one
from portico.engines.base import Abilities, Relay, UpstreamFailed
from portico.engines.simulated.malformed import spoilt
from portico.engines.simulated.models import MODELS
from portico.engines.simulated.parameters import STATUSES, Parameters
from portico.engines.simulated.scripted import (
    CONTEXT_TOKENS,
    Beat,
    Script,
    count_input,
    fitting,
    write,
)
from portico.kit.clock import Clock

Sleep = Callable[[float], Awaitable[object]]

CONCURRENCY_MAX = 4_096
_BEATS_PER_TURN = 32
"""An answer without pauses lets the other streams of the loop go on this often."""
_FAIL_AFTER = {"cut": 3, "stall": 3, "error": 0}
_RETRY_AFTER_MS = 1_000


class SimulatedEngine:
    """Implements engines/base.Engine for one simulated model."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        concurrency_max: int = CONCURRENCY_MAX,
    ) -> None:
        """sleep: takes seconds; replaced in tests, together with `clock`."""
        self._name = name
        self._model = MODELS[name]
        self._clock = clock
        self._sleep = sleep
        self.abilities = Abilities(
            features=frozenset[Feature](get_args(Feature)) - {"embeddings", "file"},
            context_tokens=CONTEXT_TOKENS,
            concurrency_max=concurrency_max,
        )

    @property
    def ready(self) -> bool:
        return True

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        """Raises: Refusal: a wrong parameter, a schema nothing satisfies, context_length_exceeded,
        or the error asked for; UpstreamFailed, when asked to fail."""
        if prompt.apart is not None:
            await one_by_one(prompt.apart(), self.generate, relay)
            return
        started_s = self._clock.monotonic_s()
        script = write(prompt, self._name, self._model)
        for sent, beat in enumerate(script.beats()):
            await self._await_turn(started_s + script.told.due_s(beat.step), sent)
            if _breaks_off(script, beat, sent):
                await break_off(script.told, sent)
            for delta in spoilt(beat.delta, script.told.fault):
                await relay(delta)

    async def count(self, prompt: Prompt) -> int | None:
        if prompt.apart is not None:
            return sum(self._count(each) for each in prompt.apart())
        return self._count(prompt)

    def _count(self, prompt: Prompt) -> int:
        conversation = fitting(prompt, prompt.conversation())
        return count_input(conversation, prompt.output_tokens_max, self._name)

    async def close(self) -> None:
        """There is nothing to close: what runs is the caller's own task."""

    async def _await_turn(self, due_s: float, sent: int) -> None:
        # Against a schedule, not from delta to delta: else late wake-ups would add up and
        # `tokens_per_s` would be a wish.
        wait_s = due_s - self._clock.monotonic_s()
        if wait_s > 0:
            await self._sleep(wait_s)
        elif sent % _BEATS_PER_TURN == _BEATS_PER_TURN - 1:
            await self._sleep(0)


def _breaks_off(script: Script, beat: Beat, sent: int) -> bool:
    """Is now the moment?  The last delta is never sent, however late the moment was to be."""
    told = script.told
    if told.fault not in _FAIL_AFTER:
        return False
    after = _FAIL_AFTER[told.fault] if told.fail_after is None else told.fail_after
    return sent >= after or beat.delta.last


async def break_off(told: Parameters, sent: int) -> None:
    """Silence until cancelled, or the failure asked for."""
    if told.fault == "stall":
        await asyncio.get_running_loop().create_future()
    if told.fault == "cut":
        raise UpstreamFailed(
            errors.UPSTREAM_FAILED(
                f"The simulated engine ended after {sent} deltas, as it was asked to."
            )
        )
    refusal = _refusal(told)
    # Once something was generated it is no longer the caller's request that is refused.
    if refusal.entry.fault == "caller" and sent == 0:
        raise refusal
    raise UpstreamFailed(refusal)


def _refusal(told: Parameters) -> errors.Refusal:
    entry = errors.UPSTREAM_FAILED
    if told.status is not None:
        entry = STATUSES[told.status]
    if told.code is not None:
        entry = errors.CATALOGUE[told.code]
    retry_after_ms = told.retry_after_ms
    if retry_after_ms is None and entry.retryable:
        retry_after_ms = _RETRY_AFTER_MS
    return entry(f"The simulated engine was asked for {entry.code}.", retry_after_ms=retry_after_ms)

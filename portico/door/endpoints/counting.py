"""How many tokens a request would be: every dialect that has the question asks it here.  Free.

The engine that would run it is asked, and the next one where that one is away or cannot say.  Where
none says, the answer is a bound (a token is at least a byte, and an image has so many patches) and the
header `portico-estimated: true` says so.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from portico.admission.counts import Counts
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT, STATE
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.intake.media import Media
from portico.door.lines import JSON
from portico.errors import Refusal
from portico.kit.leaving import Leaving, Left
from portico.pricing.counter import input_tokens_max
from portico.resources.responses.states import NO_TURN, States
from portico.routing.service import Routes, Routing
from portico.routing.tries import TRIES_MAX

_ESTIMATED = b"portico-estimated: true\r\n"


class Counting:
    """parse: the body of this question to a Prompt, as `Dialect.parse`.
    told: the count as the dialect writes it."""

    def __init__(
        self,
        dialect: Dialect,
        parse: Callable[[bytes, dict[str, str]], Prompt],
        told: Callable[[int], Any],
        callers: Verifier,
        routing: Routing,
        counts: Counts,
        *,
        body_bytes_max: int,
        compression: bool,
        media: Media | None = None,
        states: States | None = None,
    ) -> None:
        """media: looks into the files of what is counted; None: nobody does.
        states: know what came before it; None: nothing can."""
        self._dialect = dialect
        self._parse = parse
        self._told = told
        self._callers = callers
        self._routing = routing
        self._counts = counts
        self._body_bytes_max = body_bytes_max
        self._compression = compression
        self._media = media
        self._states = states

    async def handle(self, exchange: Exchange, rest: str) -> None:
        """Raises: Refusal; Left."""
        caller = await identify(self._callers, exchange)
        body = await body_of(exchange, self._body_bytes_max, compression=self._compression)
        prompt = await self._prompt(exchange, caller, body, rest)
        routes = self._routing.choose(prompt, caller.data_use, caller.models)
        counted = await self._ask(caller, prompt, routes, exchange.leaving)
        lines = JSON + self._dialect.named(exchange.request_id.encode("ascii"))
        if counted is None:
            counted, lines = input_tokens_max(prompt, None), lines + _ESTIMATED
        exchange.reply(200, lines, msgspec.json.encode(self._told(counted)))

    async def _prompt(self, exchange: Exchange, caller: Caller, body: bytes, rest: str) -> Prompt:
        hints, turn = {PROJECT: caller.project_id, **({":rest": rest} if rest else {})}, NO_TURN
        if self._states is not None:
            turn = await self._states.about(body, caller)
            body, hints[STATE] = turn.body, ""
        try:
            return await self._read(exchange, caller, body, hints)
        except Refusal as refusal:
            raise turn.as_sent(refusal) from None

    async def _read(
        self, exchange: Exchange, caller: Caller, body: bytes, hints: dict[str, str]
    ) -> Prompt:
        if self._media is not None:
            body = await self._media.inline(body, caller, exchange.leaving)
        prompt = self._parse(body, hints)
        prompt.compatibility = caller.compatibility
        if prompt.media_characters and self._media is not None:
            prompt = await self._media.fit(
                prompt, caller, lambda said: self._parse(said, hints), exchange.leaving
            )
        return prompt

    async def _ask(
        self, caller: Caller, prompt: Prompt, routes: Routes, leaving: Leaving
    ) -> int | None:
        place = await self._counts.enter(caller, routes.model, leaving)
        try:
            with leaving:
                return await _counted(routes, prompt)
            raise Left(leaving.reason)
        finally:
            place.release()


async def _counted(routes: Routes, prompt: Prompt) -> int | None:
    for deployment in routes.there[:TRIES_MAX]:
        counted = await deployment.engine.count(prompt)
        if counted is not None:
            return counted
    return None

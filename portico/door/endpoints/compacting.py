"""POST /v1/responses/compact: a conversation made shorter.  Free: no model is asked."""

from collections.abc import Callable
from typing import Any

from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT, STATE
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.intake.media import Media
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.resources.responses.states import NO_TURN, States
from portico.routing.service import Routing

Compact = Callable[[Prompt, int | None, str, int], Any]
"""The prompt, the context of its model (tokens; None where it does not say), the id of the request
and when it came (Unix seconds), to the answer."""


class Compacting:
    def __init__(
        self,
        dialect: Dialect,
        compact: Compact,
        callers: Verifier,
        routing: Routing,
        clock: Clock,
        media: Media,
        *,
        body_bytes_max: int,
        compression: bool,
        states: States | None = None,
    ) -> None:
        """media: puts files, as its model takes them, in the places that name them: what is sealed
          holds them itself.
        states: know what came before it; None: nothing can."""
        self._dialect = dialect
        self._compact = compact
        self._callers = callers
        self._routing = routing
        self._clock = clock
        self._media = media
        self._body_bytes_max = body_bytes_max
        self._compression = compression
        self._states = states

    async def handle(self, exchange: Exchange, _: str) -> None:
        """Raises: Refusal; Left."""
        caller = await identify(self._callers, exchange)
        body = await body_of(exchange, self._body_bytes_max, compression=self._compression)
        hints, turn = {PROJECT: caller.project_id}, NO_TURN
        if self._states is not None:
            turn = await self._states.about(body, caller)
            body, hints[STATE] = turn.body, ""
        try:
            prompt = await self._read(exchange, caller, body, hints)
        except Refusal as refusal:
            raise turn.as_sent(refusal) from None
        routes = self._routing.choose(prompt, caller.data_use, caller.models)
        now_s = self._clock.wall_ms() // 1000
        answer = self._compact(prompt, routes.context_tokens, exchange.request_id, now_s)
        answer_json(exchange, 200, answer, self._dialect)

    async def _read(
        self, exchange: Exchange, caller: Caller, body: bytes, hints: dict[str, str]
    ) -> Prompt:
        body = await self._media.inline(body, caller, exchange.leaving)
        prompt = self._dialect.parse(body, hints)
        prompt.compatibility = caller.compatibility
        if not prompt.media_characters:
            return prompt
        return await self._media.fit(
            prompt, caller, lambda said: self._dialect.parse(said, hints), exchange.leaving
        )

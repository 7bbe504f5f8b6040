"""POST /v1/preflight: what would become of a request, without running it.  Free.

The body is the request as it would be sent.  Answered 200, whatever is wrong with it: everything
that would refuse it is listed, not only the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from portico import errors
from portico.admission.rules import shortage
from portico.admission.standing import Standing
from portico.callers.model import Caller
from portico.canon.data_use import DataUse
from portico.canon.prompt import Prompt
from portico.dialects.violations import Verdict, violations
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.kit.clock import Clock
from portico.pricing.media import media_bounds
from portico.pricing.offer import Offer
from portico.routing.service import Routes


class Chooser(Protocol):
    def choose(self, prompt: Prompt, data_use: DataUse, models: frozenset[str] | None) -> Routes:
        """Raises: Refusal."""
        ...


class Pricer(Protocol):
    def offer(self, payer: Caller, prompt: Prompt, context_tokens: int | None) -> Offer | None:
        """Raises: Refusal."""
        ...

    def output_tokens_max(self, prompt: Prompt, context_tokens: int | None) -> int:
        """Of one choice: what a hold is made for."""
        ...


class Standings(Protocol):
    async def of(self, caller: Caller) -> Standing: ...


@dataclass(frozen=True, slots=True)
class Desks:
    """Who is asked, in the order of the journey."""

    callers: Verifier
    routing: Chooser
    counter: Pricer
    standings: Standings


@dataclass(slots=True)
class _Case:
    """What has been found out about one request."""

    refusals: list[errors.Refusal]
    prompt: Prompt | None
    routes: Routes | None = None
    offer: Offer | None = None
    priced: bool = False
    output_tokens_max: int = 0


class Preflight:
    def __init__(
        self,
        endpoint: str,
        dialect: Dialect,
        desks: Desks,
        clock: Clock,
        *,
        body_bytes_max: int,
        compression: bool,
    ) -> None:
        """endpoint: the route that `dialect` generates at."""
        self._endpoint = endpoint
        self._dialect = dialect
        self._desks = desks
        self._clock = clock
        self._body_bytes_max = body_bytes_max
        self._compression = compression

    async def handle(self, exchange: Exchange, _: str) -> None:
        """Raises: Refusal, for what is wrong with the asking itself: the key, the body's size."""
        caller = await identify(self._desks.callers, exchange)
        body = await body_of(exchange, self._body_bytes_max, compression=self._compression)
        verdict = violations(self._dialect.parse, body, self._dialect.specimen)
        case = _Case(list(verdict.found), verdict.prompt)
        if case.prompt is not None:
            self._be_strict(case, caller, case.prompt)
            self._route(case, caller, case.prompt)
        if case.offer is not None and not case.refusals:
            self._fund(case, await self._desks.standings.of(caller), case.offer)
        answer_json(exchange, 200, self._told(case, verdict))

    def _be_strict(self, case: _Case, caller: Caller, prompt: Prompt) -> None:
        prompt.compatibility = caller.compatibility
        if prompt.compatibility != "strict":
            return
        try:
            self._dialect.strict(prompt)
        except errors.Refusal as refusal:
            case.refusals.append(refusal)

    def _route(self, case: _Case, caller: Caller, prompt: Prompt) -> None:
        if any(refusal.field == "model" for refusal in case.refusals):
            return  # what stands in its place is nobody's model
        try:
            case.routes = routes = self._desks.routing.choose(
                prompt, caller.data_use, caller.models
            )
        except errors.Refusal as refusal:
            case.refusals.append(refusal)
            return
        case.output_tokens_max = self._desks.counter.output_tokens_max(
            prompt, routes.context_tokens
        )
        try:
            case.offer = self._desks.counter.offer(caller, prompt, routes.context_tokens)
            case.priced = True
        except errors.Refusal as refusal:
            case.refusals.append(refusal)

    def _fund(self, case: _Case, standing: Standing, offer: Offer) -> None:
        case.refusals.extend(
            shortage(short, offer.first_nano, self._clock.wall_ms())
            for short in standing.shorts(offer.first_nano)
        )

    def _told(self, case: _Case, verdict: Verdict) -> dict[str, Any]:
        valid = not case.refusals
        routes = case.routes
        return {
            "object": "preflight",
            "endpoint": self._endpoint,
            "valid": valid,
            "violations": [self._violation(each) for each in case.refusals],
            "complete": verdict.whole,
            "model": routes.model if routes else None,
            "service_tier": case.prompt.service_tier if case.prompt and routes else None,
            "deployment": routes.deployments[0].id if routes else None,
            "fallbacks": [each.id for each in routes.deployments[1:]] if routes else [],
            "tokens": _tokens(case) if valid else None,
            "price": _price(case.offer) if valid and case.priced else None,
            "warnings": case.prompt.warnings if case.prompt else [],
        }

    def _violation(self, refusal: errors.Refusal) -> dict[str, Any]:
        """In the words of the dialect, as the endpoint itself would answer it."""
        error: dict[str, Any] = msgspec.json.decode(self._dialect.envelope(refusal, ""))["error"]
        return {**error, "status": refusal.status, "retryable": refusal.entry.retryable}


def _tokens(case: _Case) -> dict[str, Any]:
    """Bounds, by modality: no token is shorter than a byte."""
    assert case.prompt is not None
    assert case.routes is not None
    media = case.prompt.media_characters
    text_bytes = len(case.prompt.body) - sum(media.values())
    inputs: dict[str, Any] = {
        "text": {"at_most": text_bytes, "about": case.prompt.input_tokens_guess}
    }
    for kind, tokens in sorted(media_bounds(case.prompt).items() if media else ()):
        inputs[kind] = {"at_most": tokens}
    return {
        "input": inputs,
        "output": {"text": {"at_most": case.output_tokens_max * case.prompt.choices}},
        "context": case.routes.context_tokens,
    }


def _price(offer: Offer | None) -> dict[str, Any]:
    """None: nothing can be charged."""
    prices: Sequence[Any] = () if offer is None else offer.quote.prices
    return {
        "currency": "USD",
        "worst_nano_usd": str(offer.worst_nano if offer else 0),
        "held_first_nano_usd": str(offer.first_nano if offer else 0),
        "prices": [
            {
                "meter": each.meter,
                "above_input_tokens": each.above_input_tokens,
                "nano_usd_per_million": str(each.nano_per_million),
            }
            for each in prices
        ],
    }

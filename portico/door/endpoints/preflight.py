"""POST /v1/preflight/...: what would become of a request, without running it.  Free.

The body is the request as it would be sent, in the dialect of the endpoint it would be sent to.  Answered 200, whatever is wrong with it: everything
that would refuse it is listed, not only the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from portico import errors
from portico.admission.rules import shortage
from portico.admission.standing import Standing
from portico.callers.model import Caller
from portico.canon.data_use import DataUse
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT, STATE
from portico.dialects.violations import Verdict, violations
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.intake.media import Media
from portico.kit.clock import Clock
from portico.kit.failures import let_go
from portico.kit.leaving import Leaving
from portico.pricing.media import media_bounds
from portico.pricing.offer import Offer
from portico.resources.responses.states import States
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


Told = Callable[[errors.Refusal], dict[str, Any]]
"""A refusal as a violation: the same members for every dialect, each field by its name there."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the request would be sent: path, as its route is written; what is spoken there."""

    path: str
    dialect: Dialect
    told: Told


@dataclass(frozen=True, slots=True)
class Intake:
    """How a body comes in there; see `generation.Terms`."""

    body_bytes_max: int
    compression: bool
    media: Media | None
    states: States | None = None


@dataclass(frozen=True, slots=True)
class Desks:
    """Who is asked, in the order of the journey."""

    callers: Verifier
    routing: Chooser
    counter: Pricer
    standings: Standings


@dataclass(slots=True)
class _Case:
    """What has been found out about one request.  endpoint: the path it would be sent to."""

    endpoint: str
    refusals: list[errors.Refusal]
    prompt: Prompt | None
    routes: Routes | None = None
    offer: Offer | None = None
    priced: bool = False
    output_tokens_max: int = 0


class Preflight:
    """For requests to one endpoint."""

    def __init__(self, endpoint: Endpoint, desks: Desks, clock: Clock, intake: Intake) -> None:
        self._endpoint = endpoint
        self._dialect = endpoint.dialect
        self._desks = desks
        self._clock = clock
        self._intake = intake

    async def handle(self, exchange: Exchange, rest: str) -> None:
        """Raises: Refusal, for what is wrong with the asking itself: the key, the body's size; Left."""
        caller = await identify(self._desks.callers, exchange)
        intake = self._intake
        body = await body_of(exchange, intake.body_bytes_max, compression=intake.compression)
        hints = {PROJECT: caller.project_id}
        if rest:
            hints |= {":rest": rest, ":query": exchange.query.decode("latin-1")}
        if intake.states is None:
            verdict = await self._judge(body, caller, hints, exchange.leaving)
        else:
            verdict = await self._following(intake.states, body, caller, hints, exchange.leaving)
        case = _Case(self._endpoint.path.replace("{id}", rest), list(verdict.found), verdict.prompt)
        if case.prompt is not None and case.prompt.media_characters:
            await self._look_into(case, caller, hints, exchange.leaving)
        if case.prompt is not None:
            self._be_strict(case, caller, case.prompt)
            self._route(case, caller, case.prompt)
        if case.offer is not None and not case.refusals:
            self._fund(case, await self._desks.standings.of(caller), case.offer)
        answer_json(exchange, 200, self._told(case, verdict))
        for refusal in (*verdict.found, *case.refusals):
            let_go(refusal)

    async def _following(
        self,
        states: States,
        body: bytes,
        caller: Caller,
        hints: dict[str, str],
        leaving: Leaving,
    ) -> Verdict:
        """With what came before it; where that cannot be had, what is wrong without it."""
        hints[STATE] = ""
        try:
            turn = await states.about(body, caller)
        except errors.Refusal as refusal:
            verdict = await self._judge(body, caller, hints, leaving)
            return Verdict((refusal, *verdict.found), whole=False, prompt=verdict.prompt)
        verdict = await self._judge(turn.body, caller, hints, leaving)
        found = tuple(map(turn.as_sent, verdict.found))
        return Verdict(found, whole=verdict.whole, prompt=verdict.prompt)

    async def _judge(
        self, body: bytes, caller: Caller, hints: dict[str, str], leaving: Leaving
    ) -> Verdict:
        """Files named by URL are fetched where a request's own would be, and only there."""
        unfetched: errors.Refusal | None = None
        if self._intake.media is not None:
            try:
                body = await self._intake.media.inline(body, caller, leaving)
            except errors.Refusal as refusal:
                unfetched = refusal
        parse, specimen = self._dialect.parse, self._dialect.specimen
        verdict = violations(lambda read, _: parse(read, hints), body, specimen)
        if unfetched is None or unfetched.field is None:
            return verdict  # what is no JSON at all is found by whoever reads it, too
        # With one file missing the rest were not put inline; nothing is known to be wrong with them.
        others = [
            each
            for each in verdict.found
            if each.entry is not errors.MEDIA_URL_REFUSED
            and (each.code, each.field) != (unfetched.code, unfetched.field)
        ]
        return Verdict((unfetched, *others), whole=False, prompt=verdict.prompt)

    async def _look_into(
        self, case: _Case, caller: Caller, hints: dict[str, str], leaving: Leaving
    ) -> None:
        """Its files, as a request's own would be."""
        assert case.prompt is not None
        if self._intake.media is None:
            return
        case.prompt.compatibility = caller.compatibility
        parse = self._dialect.parse
        try:
            case.prompt = await self._intake.media.fit(
                case.prompt, caller, lambda said: parse(said, hints), leaving
            )
        except errors.Refusal as refusal:
            case.refusals.append(refusal)
            case.prompt.needs -= {"file"}  # most engines need not read one: it would have been text

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
            "endpoint": case.endpoint,
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
        """As the endpoint itself would refuse it, in one shape for all of them."""
        status = self._dialect.status(refusal)
        return {
            **self._endpoint.told(refusal),
            "status": status,
            "retryable": refusal.entry.retryable,
        }


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

"""A moderation: bytes in, bytes out, for whoever asks, by HTTP or in a batch.  Free.

What is asked about is in memory while it is judged, and nowhere after that.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from portico import errors
from portico.admission.counts import Counts
from portico.callers.model import Caller
from portico.canon.data_use import allows
from portico.canon.moderation import Item
from portico.canon.usage import NOTHING
from portico.dialects.losses import Losses
from portico.dialects.media import check_image
from portico.dialects.openai_moderations.answer import written
from portico.dialects.openai_moderations.parse import ALIASES, Asked, parse
from portico.kit.ids import new_id
from portico.kit.leaving import Leaving, Left
from portico.rates import told
from portico.rates.service import Allowance
from portico.safety.guard.guard import Guard, GuardAway
from portico.safety.judging import by_rules, together
from portico.safety.model import Found
from portico.safety.rules import PIECE_CHARACTERS, Pack, Reading, blocks

_RETRY_AFTER_MS = 1_000
_WITHOUT_GUARD = 'guard_unavailable; field="input"; action=dropped'


class Limiting(Protocol):
    async def take(self, caller: Caller, model: str, input_tokens: int) -> Allowance | None:
        """Raises: Refusal: ..._per_minute_exceeded."""
        ...


@dataclass(frozen=True, slots=True)
class InputLimits:
    """Of one request.  inputs_max: texts, or parts.  characters_max: of all of them together."""

    inputs_max: int
    characters_max: int


@dataclass(frozen=True, slots=True)
class Answered:
    """body: the answer.  lines: header lines about limits.  warnings: what was not looked at."""

    body: bytes
    lines: bytes
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Request:
    items: tuple[Item, ...]
    guard: Guard | None
    warnings: tuple[str, ...]


class Moderation:
    """One event loop owns this object."""

    def __init__(
        self, pack: Pack, guard: Guard | None, rates: Limiting, counts: Counts, limits: InputLimits
    ) -> None:
        """guard: None: the rules judge alone.  counts: moderations at once."""
        self._pack = pack
        self._guard = guard
        self._rates = rates
        self._counts = counts
        self._limits = limits

    @property
    def models(self) -> tuple[str, ...]:
        """What judges here, as answers name it; the last one is all there is."""
        alone = self._pack.name
        return (alone,) if self._guard is None else (alone, f"{alone}+{self._guard.terms.name}")

    async def judge(self, body: bytes, caller: Caller) -> Answered:
        """body: a Moderations request, of whoever is bounded elsewhere (a line of a batch): nothing is
        counted here.  Cancelled, it hangs up on the guard.

        Raises: Refusal: what is wrong with the body; model_not_found, data_use_not_allowed,
        moderation_unavailable.
        """
        return await self._answered(self._request(body, caller))

    async def answer(self, body: bytes, caller: Caller, leaving: Leaving) -> Answered:
        """The same within the caller's limits.  leaving: ends it early.

        Raises: Refusal, also: ..._per_minute_exceeded, concurrency_exceeded, overloaded; Left.
        """
        request = self._request(body, caller)
        allowance = await self._rates.take(caller, self._pack.name, 0)
        lines = b"" if allowance is None else told.openai(allowance.standing)
        try:
            place = await self._counts.enter(caller, self._pack.name, leaving)
            try:
                with leaving:
                    return replace(await self._answered(request), lines=lines)
                raise Left(leaving.reason)
            finally:
                place.release()
        finally:
            if allowance is not None:
                allowance.settle(NOTHING)

    def _request(self, body: bytes, caller: Caller) -> _Request:
        """Raises: Refusal."""
        asked = parse(body, self._limits.inputs_max, self._limits.characters_max)
        guard = self._chosen(asked.model, caller)
        return _Request(asked.items, guard, tuple(_lost(asked, guard, caller)))

    def _chosen(self, model: str, caller: Caller) -> Guard | None:
        """Who is asked besides the rules.  Raises: Refusal."""
        if model and model not in self.models:
            raise errors.MODEL_NOT_FOUND(
                f"The model {model!r} judges nothing here.",
                field="model",
                value=model,
                limit=sorted({*self.models, *ALIASES}),
                remedy="Leave the model out, or name one of those that do.",
            )
        guard = self._guard
        if guard is None or model == self._pack.name:
            return None
        use = guard.terms.data_use
        if not allows(caller.data_use, use) or (caller.content_ms_max == 0 and use != "own"):
            raise errors.DATA_USE(
                f"Texts would be seen by a guard model whose data use is {use!r}, which this project "
                "does not allow.",
                field="model",
                value=model or self.models[-1],
                limit=caller.data_use,
                remedy=f"Name the model {self._pack.name!r}, for which nobody else is asked.",
            )
        return guard

    async def _answered(self, request: _Request) -> Answered:
        items, guard = request.items, request.guard
        found = await self._read(items)
        judged = [by_rules(item, each, self._pack) for item, each in zip(items, found, strict=True)]
        model, warnings = self._pack.name, request.warnings
        if guard is not None:
            try:
                theirs = await guard.judge(items)
                judged = [together(*both) for both in zip(judged, theirs, strict=True)]
                model = self.models[-1]
            except GuardAway as away:
                if guard.terms.on_error == "closed":
                    raise _refusal(away) from away
                warnings = (*warnings, _WITHOUT_GUARD)
        return Answered(written(new_id("modr"), model, judged), b"", warnings)

    async def _read(self, items: Sequence[Item]) -> list[Found]:
        """Others have their turn in between, so that a long text holds up nobody."""
        found: list[Found] = []
        rested = 0
        for item in items:
            reading = Reading(self._pack)
            for block in blocks(item.text or ""):
                if rested + reading.steps >= PIECE_CHARACTERS:
                    rested = -reading.steps
                    await asyncio.sleep(0)
                reading.feed(block)
            found.append(reading.end())
            rested += found[-1].steps
        return found


def _lost(asked: Asked, guard: Guard | None, caller: Caller) -> list[str]:
    """What nobody will look at, in the words of `portico-warnings`.

    Raises: Refusal, where the key is strict; where an image that is looked at is none, or is a URL.
    """
    losses = Losses(caller.compatibility)
    for name in asked.unknown:
        losses.drop(name, "a moderation has no such member")
    for item in asked.items:
        if item.images and (guard is None or not guard.sees):
            losses.drop(f"{item.path}.image_url", "nobody here looks at images")
            continue
        for url in item.images:
            check_image(f"{item.path}.image_url", url)
    return losses.warnings


def _refusal(away: GuardAway) -> errors.Refusal:
    if away.refused:
        return errors.UPSTREAM_REFUSED(
            "The guard model does not take this text; it may be longer than it can read.",
            field="input",
        )
    return errors.MODERATION_UNAVAILABLE(
        "The guard model gave no judgement.", retry_after_ms=_RETRY_AFTER_MS
    )

"""What a request may cost, asked before it runs."""

from typing import Protocol

from portico import errors
from portico.canon.prompt import Prompt
from portico.pricing.media import media_bounds
from portico.pricing.model import TIERS, Terms
from portico.pricing.offer import Offer, offer
from portico.pricing.rules import bound
from portico.pricing.service import Prices


class Payer(Protocol):
    """What pricing needs to know about a caller."""

    @property
    def organisation_id(self) -> str: ...

    @property
    def mode(self) -> str: ...


class Counter:
    """
    output_tokens_max: assumed of an answer whose length neither the caller nor the model limits.
    window_tokens: how much of a stream's output is set aside at a time.
    """

    def __init__(self, prices: Prices, *, output_tokens_max: int, window_tokens: int) -> None:
        self._prices = prices
        self._output_tokens_max = output_tokens_max
        self._window_tokens = window_tokens

    def output_tokens_max(self, prompt: Prompt, context_tokens: int | None) -> int:
        """Of one choice: the longest answer that is set aside for."""
        asked = prompt.output_tokens_max
        if asked is None:
            asked = self._output_tokens_max
        return asked if context_tokens is None else min(asked, context_tokens)

    def sells(self, payer: Payer, model: str) -> bool:
        """Would `offer` be made for `model`, at one service tier at least?

        Raises: Refusal: storage_unavailable (503).
        """
        terms = self._prices.terms_of(payer.organisation_id)
        if terms.kind == "internal":
            return True
        priced = any(self._has_price(model, tier, terms) for tier in TIERS)
        return priced != (payer.mode == "test")

    def _has_price(self, model: str, tier: str, terms: Terms) -> bool:
        try:
            self._prices.quote(model, tier, terms)
        except errors.Refusal as refusal:
            if refusal.entry in (errors.NOT_PRICED, errors.UNKNOWN_TIER):
                return False
            raise
        return True

    def offer(self, payer: Payer, prompt: Prompt, context_tokens: int | None) -> Offer | None:
        """What to set aside; None where nothing can be charged.

        context_tokens: of the model, input and output together; None when it does not say.
        Raises: Refusal: unknown_service_tier, test_key_not_charged (400); model_not_priced,
        storage_unavailable (503).
        """
        terms = self._prices.terms_of(payer.organisation_id)
        if terms.kind == "internal":
            return None
        try:
            quoted = self._prices.quote(prompt.model, prompt.service_tier, terms)
        except errors.Refusal as refusal:
            if payer.mode == "test" and refusal.entry is errors.NOT_PRICED:
                return None
            raise
        if payer.mode == "test":
            raise errors.TEST_KEY(
                f"The model {prompt.model!r} costs money, and a test key never spends any.",
                field="model",
                value=prompt.model,
            )
        made = offer(
            quoted.quote,
            quoted.text,
            bound,
            input_tokens_max=input_tokens_max(prompt, context_tokens),
            output_tokens_max=self.output_tokens_max(prompt, context_tokens),
            choices=prompt.choices,
            window_tokens=self._window_tokens if prompt.stream else None,
        )
        return made if made.worst_nano else None


def input_tokens_max(prompt: Prompt, context_tokens: int | None) -> int:
    """No token of text is shorter than a byte, and the JSON around a message is longer than what a
    template puts around it.  No prompt is longer than the model's context, either; but a request
    may hold several, and the context of a model of vectors is that of each text."""
    most = len(prompt.body)
    if prompt.media_characters:
        most += sum(media_bounds(prompt).values()) - sum(prompt.media_characters.values())
    if context_tokens is None or prompt.apart is not None or prompt.to_embed is not None:
        return most
    return min(most, context_tokens)

"""What a request may cost before it runs: the figures admission sets aside.  Pure."""

from collections.abc import Callable

import msgspec

from portico.pricing.model import Quote

Bound = Callable[[Quote, int, int, int], int]
"""`rules.bound`: the worst case of (quote, input tokens, output tokens a choice, choices)."""


class Offer(msgspec.Struct, frozen=True):
    """quote: what the request will be rated by; `text` is the same as JSON, for the hold's row.

    first_nano: set aside before the start.  It pays for the whole input and `covers_tokens` of
      output over all choices.
    window_nano: what `window_tokens` more of output cost, for a stream that goes on; 0 where the
      first hold covers everything.
    worst_nano: everything it could cost.  0: nothing is set aside.
    """

    quote: Quote
    text: str
    first_nano: int
    covers_tokens: int
    window_tokens: int
    window_nano: int
    worst_nano: int


def offer(
    quote: Quote,
    text: str,
    bound: Bound,
    *,
    input_tokens_max: int,
    output_tokens_max: int,
    choices: int,
    window_tokens: int | None,
) -> Offer:
    """window_tokens: None sets aside everything at once, as for an answer that is not streamed."""
    worst_nano = bound(quote, input_tokens_max, output_tokens_max, choices)
    output_tokens = output_tokens_max * choices
    if window_tokens is None or window_tokens >= output_tokens or not worst_nano:
        return Offer(quote, text, worst_nano, output_tokens, 0, 0, worst_nano)
    first_nano = bound(quote, input_tokens_max, window_tokens, 1)
    # The next windows carry no input, but its length still chooses the step of the price.
    window_nano = first_nano - bound(quote, input_tokens_max, 0, 1) + 1
    return Offer(quote, text, first_nano, window_tokens, window_tokens, window_nano, worst_nano)

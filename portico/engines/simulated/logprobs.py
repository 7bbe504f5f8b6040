"""Log probabilities that look like a sure model's: made up, repeatable, and never above 1 in sum."""

import math
from random import Random
from typing import Any

from portico.engines.simulated.filler import other_tokens

_CERTAINTY_LEAST = 0.55
_CERTAINTY_MOST = 0.99
_SHARE = 0.5
"""Each alternative takes this part of what is left, so they come in falling order."""


class Logprobs:
    """Entries for one answer's tokens, in order."""

    def __init__(self, top: int, rng: Random) -> None:
        self._top = top
        self._rng = rng

    def entry(self, token: str) -> dict[str, Any]:
        """{token, logprob, bytes, top_logprobs}; the chosen token is the likeliest one."""
        sure = _CERTAINTY_LEAST + (_CERTAINTY_MOST - _CERTAINTY_LEAST) * self._rng.random()
        chosen = _one(token, sure)
        if not self._top:
            return chosen | {"top_logprobs": []}
        others = [other for other in other_tokens(self._top, self._rng) if other != token]
        left = 1 - sure
        top = [chosen]
        for other in others[: self._top - 1]:
            left *= _SHARE
            top.append(_one(other, left))
        return chosen | {"top_logprobs": top}


def _one(token: str, probability: float) -> dict[str, Any]:
    return {
        "token": token,
        "logprob": math.log(probability),
        "bytes": list(token.encode()),
    }

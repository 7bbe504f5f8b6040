"""How hard to think: a number of tokens in some dialects, a word in others, and not every word in
every model.  The one table between.

Every step over it is a loss, and is said so (`mapped`).
"""

from collections.abc import Set

BUDGETS: tuple[tuple[int, str], ...] = (
    (0, "none"),
    (512, "minimal"),
    (2_048, "low"),
    (8_192, "medium"),
    (24_576, "high"),
    (49_152, "xhigh"),
)
"""Tokens of thought up to which an effort is meant; beyond the last, "max"."""

EFFORTS = (*(effort for _, effort in BUDGETS), "max")
"""From the least to the most."""


def effort_of(budget_tokens: int) -> str:
    """The effort a budget of this many tokens asks for."""
    for most, effort in BUDGETS:
        if budget_tokens <= most:
            return effort
    return "max"


def nearest_effort(asked: str, known: Set[str]) -> str:
    """The one of `known` that is closest to `asked`, of two the lesser: thought is paid for.

    Who wants the model to think is not told that it should not, as long as there is a choice.
    """
    place = EFFORTS.index(asked)
    thinking = known - {"none"} or known
    return min(thinking, key=lambda each: (abs(EFFORTS.index(each) - place), EFFORTS.index(each)))


def in_order(efforts: Set[str]) -> list[str]:
    """Those of `efforts` that are words of this table, from the least to the most."""
    return [effort for effort in EFFORTS if effort in efforts]

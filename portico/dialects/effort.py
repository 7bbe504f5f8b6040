"""How hard to think: a number of tokens in some dialects, a word in others.  The one table between.

Every step over it is a loss, and is said so (`mapped`).
"""

BUDGETS: tuple[tuple[int, str], ...] = (
    (0, "none"),
    (512, "minimal"),
    (2_048, "low"),
    (8_192, "medium"),
    (24_576, "high"),
    (49_152, "xhigh"),
)
"""Tokens of thought up to which an effort is meant; beyond the last, "max"."""


def effort_of(budget_tokens: int) -> str:
    """The effort a budget of this many tokens asks for."""
    for most, effort in BUDGETS:
        if budget_tokens <= most:
            return effort
    return "max"

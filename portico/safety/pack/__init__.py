"""The rules that come with Portico: our own work, no list of anybody else's in it.

They find what is said outright, in the languages each rule names.  They know no context: a quotation, a
report and a threat read alike.  A new rule, a changed one or one less is a new name for the pack.
"""

from portico.safety.pack import (
    harassment,
    hate,
    illicit,
    personal_data,
    secrets,
    self_harm,
)
from portico.safety.rules import Pack

NAME = "portico-rules-1"
RULES = (
    *harassment.RULES,
    *hate.RULES,
    *illicit.RULES,
    *self_harm.RULES,
    *secrets.RULES,
    *personal_data.RULES,
)


def pack() -> Pack:
    return Pack(NAME, RULES)

"""What a rule is, and what was found by all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from portico.canon.moderation import Category, DataKind, Finding

Strength = Literal["clear", "hint"]
SCORES: Mapping[Strength, float] = {"clear": 1.0, "hint": 0.5}
"""What a rule that matched is worth; a category's score is that of its strongest.  No probability."""
FLAGGED_FROM = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for.  A change of what it matches is a new version.

    pattern: RE2, read over the folded text, or over the plain one for secrets and personal data;
      "" where it is `terms`: whole words, folded, found by Aho-Corasick.
    check: is what the pattern matched real (a checksum)?  None: it always is.
    languages: those it was written for (ISO 639-1); () where it is none.
    matches, passes: examples.  The suite holds it to them.
    """

    id: str
    version: int
    category: Category | DataKind
    strength: Strength
    matches: tuple[str, ...]
    passes: tuple[str, ...]
    pattern: str = ""
    terms: tuple[str, ...] = ()
    check: Callable[[str], bool] | None = None
    languages: tuple[str, ...] = ("en",)

    def finding(self) -> Finding:
        return Finding(self.id, self.version, self.category, SCORES[self.strength])


@dataclass(frozen=True, slots=True)
class Found:
    """What the rules say of one text.

    steps: characters that were made plain, and that were given to the rules: the work, counted.
    """

    findings: tuple[Finding, ...]
    steps: int

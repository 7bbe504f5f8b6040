"""From what rules and a guard found to one judgement.  Pure."""

from collections.abc import Iterable, Mapping

from portico.canon.moderation import (
    CATEGORIES,
    INPUTS,
    Category,
    DataKind,
    Item,
    Judgement,
    Scored,
)
from portico.safety.model import FLAGGED_FROM, Found
from portico.safety.rules import Pack

_WIDER: Mapping[str, Category] = {
    "harassment/threatening": "harassment",
    "hate/threatening": "hate",
    "illicit/violent": "illicit",
    "self-harm/instructions": "self-harm",
    "self-harm/intent": "self-harm",
}
"""What is the one is the other, too."""
NOTHING = Judgement(None, {})


def by_rules(item: Item, found: Found, pack: Pack) -> Judgement:
    """What nothing was found in is 0: no rule matched.  Images are not looked at."""
    if item.text is None:
        return NOTHING
    scores: dict[str, float] = dict.fromkeys((*pack.categories, *pack.data_kinds), 0.0)
    for finding in found.findings:
        for name in (finding.category, _WIDER.get(finding.category, finding.category)):
            scores[name] = max(scores[name], finding.score)
    scored = {
        name: Scored(scores[name] >= FLAGGED_FROM, scores[name], ("text",))
        for name in pack.categories
    }
    data: dict[DataKind, bool] = {kind: scores[kind] >= FLAGGED_FROM for kind in pack.data_kinds}
    return Judgement(_any(scored.values()), scored, found.findings, data)


def together(rules: Judgement, guard: Judgement) -> Judgement:
    """The stricter of both, category by category."""
    scored: dict[Category, Scored] = {}
    for name in CATEGORIES:
        both = [each.scored[name] for each in (rules, guard) if name in each.scored]
        if both:
            scored[name] = Scored(
                _any(both),
                max(each.score for each in both),
                tuple(kind for kind in INPUTS if any(kind in each.inputs for each in both)),
            )
    flagged = bool(rules.flagged or guard.flagged or _any(scored.values()))
    return Judgement(flagged, scored, rules.findings, rules.data, guard.guard)


def _any(scored: Iterable[Scored]) -> bool:
    return any(each.flagged for each in scored)

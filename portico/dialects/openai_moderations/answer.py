"""The answer, as OpenAI's SDKs read it.

A category that nobody scored is `null` in `categories` and `category_scores`, and has no input type in
`category_applied_input_types`: `false` and `0` would say that somebody looked.
"""

from collections.abc import Sequence
from typing import Any

from portico.canon.moderation import CATEGORIES, Judgement
from portico.dialects.writing import encode


def written(id: str, model: str, judgements: Sequence[Judgement]) -> bytes:
    """model: what has judged."""
    return encode({"id": id, "model": model, "results": [_result(each) for each in judgements]})


def _result(judged: Judgement) -> dict[str, Any]:
    scored = [(name, judged.scored.get(name)) for name in CATEGORIES]
    return {
        "flagged": judged.flagged,
        "categories": {name: each and each.flagged for name, each in scored},
        "category_scores": {name: each and each.score for name, each in scored},
        "category_applied_input_types": {
            name: each.inputs if each else () for name, each in scored
        },
        "portico": {
            "rules": [
                {
                    "rule": found.rule,
                    "version": found.version,
                    "category": found.category,
                    "score": found.score,
                }
                for found in judged.findings
            ],
            "data": judged.data,
            "guard": judged.guard,
            "not_scored": [name for name, each in scored if each is None],
        },
    }

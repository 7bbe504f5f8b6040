"""The answer, as OpenAI's SDKs read it; and read, where a guard gives one.

A category that nobody scored is `null` in `categories` and `category_scores`, and has no input type in
`category_applied_input_types`: `false` and `0` would say that somebody looked.
"""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec
from msgspec import Struct

from portico.canon.moderation import CATEGORIES, INPUTS, Category, Input, Judgement, Scored
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


_NAME = re.compile(r"[A-Za-z0-9 _/.-]{1,64}")
_NAMES_MAX = 32
"""Of categories we do not know: what a guard calls them is shown, so it is not trusted."""


class Unreadable(Exception):
    """An answer that is none.  Its words are ours, never the guard's."""


class _Result(Struct):
    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, float | None]
    category_applied_input_types: dict[str, list[str]] | None = None


class _Answer(Struct):
    results: list[_Result]


_answer = msgspec.json.Decoder(_Answer)


def read(body: bytes, wanted: int) -> list[Judgement]:
    """What another server that speaks this dialect has judged; wanted: how many texts it was asked
    about.  Categories we do not know go to `guard`, where they are flagged.

    Raises: Unreadable.
    """
    try:
        answer = _answer.decode(body)
    except (ValueError, RecursionError):
        raise Unreadable("it is no judgement in OpenAI's shape") from None
    if len(answer.results) != wanted:
        raise Unreadable(f"{len(answer.results)} results, not one for each of {wanted} inputs")
    return [_judgement(result) for result in answer.results]


def _judgement(result: _Result) -> Judgement:
    scored: dict[Category, Scored] = {}
    for name in CATEGORIES:
        flagged, score = result.categories.get(name), result.category_scores.get(name)
        if flagged is None or score is None:
            continue
        if not isfinite(score) or not 0 <= score <= 1:
            raise Unreadable("a score that is not between 0 and 1")
        scored[name] = Scored(flagged, score, _inputs(result, name))
    if not scored:
        raise Unreadable("it scores no category")
    theirs = sorted(
        name
        for name, flagged in result.categories.items()
        if flagged and name not in CATEGORIES and _NAME.fullmatch(name)
    )
    return Judgement(result.flagged, scored, guard=tuple(theirs[:_NAMES_MAX]))


def _inputs(result: _Result, name: str) -> tuple[Input, ...]:
    said = (result.category_applied_input_types or {}).get(name, ["text"])
    return tuple(kind for kind in INPUTS if kind in said)

"""A guard that speaks this dialect itself: what it is asked, and its answer read."""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec
from msgspec import Struct

from portico.canon.moderation import CATEGORIES, INPUTS, Category, Input, Item, Judgement, Scored

_NAME = re.compile(r"[A-Za-z0-9 _/.-]{1,64}")
_NAMES_MAX = 32
"""Of categories we do not know: what a guard calls them is shown, so it is not trusted."""


class Unreadable(Exception):
    """An answer that is none.  Its words are ours, never the guard's."""


def body_for(items: Sequence[Item], model: str) -> bytes:
    """items: texts, or one item with images.  model: the guard's name for it, "" to say none."""
    asked: dict[str, Any] = {"input": _input(items)}
    if model:
        asked["model"] = model
    return msgspec.json.encode(asked)


def _input(items: Sequence[Item]) -> list[Any]:
    if not any(item.images for item in items):
        return [item.text or "" for item in items]
    parts: list[Any] = []
    for item in items:
        if item.text is not None:
            parts.append({"type": "text", "text": item.text})
        parts += [{"type": "image_url", "image_url": {"url": url}} for url in item.images]
    return parts


class _Result(Struct):
    flagged: bool | None
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

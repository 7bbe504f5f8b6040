"""What is served here, as Google's SDKs list it: names begin with "models/", and lists are paged."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from portico import errors
from portico.dialects.diagnosis import brief, shown
from portico.routing.model import Deployment

_PREFIX = "models/"
_SIZE, _TOKEN = "pageSize", "pageToken"
_PAGE = 50
_PAGE_MAX = 1_000
_WORDS = ["generateContent", "streamGenerateContent", "countTokens"]
_VECTORS = ["embedContent", "batchEmbedContents"]


class GeminiShape:
    """Limits: a model's context holds input and output together, so both are told as its size;
    they are left out where no engine says it."""

    def one(self, model: str, ways: Sequence[Deployment]) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": f"{_PREFIX}{model}",
            "baseModelId": model,
            "displayName": model,
            "supportedGenerationMethods": _methods(ways),
        }
        contexts = [way.engine.abilities.context_tokens for way in ways]
        known = [tokens for tokens in contexts if tokens is not None]
        if len(known) == len(contexts):
            told["inputTokenLimit"] = told["outputTokenLimit"] = max(known)
        return told

    def all(self, models: Sequence[dict[str, Any]], query: bytes) -> dict[str, Any]:
        """Raises: Refusal: invalid_value."""
        asked = parse_qs(query.decode("latin-1"))
        size = _size(asked.get(_SIZE, asked.get("page_size", [""]))[-1])
        start = _start(asked.get(_TOKEN, asked.get("page_token", [""]))[-1], models)
        page: dict[str, Any] = {"models": list(models[start : start + size])}
        if start + size < len(models):
            last = page["models"][-1]["baseModelId"].encode()
            page["nextPageToken"] = base64.urlsafe_b64encode(last).decode()
        return page


def _methods(ways: Sequence[Deployment]) -> list[str]:
    features = frozenset[str]().union(*(way.engine.abilities.features for way in ways))
    if "embeddings" not in features:
        return _WORDS
    return _VECTORS if features == {"embeddings"} else [*_WORDS, *_VECTORS]


def _size(said: str) -> int:
    if not said:
        return _PAGE
    if not said.isascii() or not said.isdecimal():
        raise errors.INVALID_VALUE(
            f"'{_SIZE}' is {shown(said)}; it must be a number from 0 to {_PAGE_MAX}.",
            field=_SIZE,
            value=brief(said),
            limit=_PAGE_MAX,
        )
    return min(int(said[:9]), _PAGE_MAX) or _PAGE


def _start(token: str, models: Sequence[dict[str, Any]]) -> int:
    """Behind the model the page before ended with."""
    if not token:
        return 0
    try:
        last = base64.urlsafe_b64decode(token).decode()
        return [model["baseModelId"] for model in models].index(last) + 1
    except (binascii.Error, ValueError):
        raise errors.INVALID_VALUE(
            f"'{_TOKEN}' is {shown(token)}; it must be the 'nextPageToken' of a page given before.",
            field=_TOKEN,
            value=brief(token),
            limit="nextPageToken",
            remedy="Begin again, without it.",
        ) from None

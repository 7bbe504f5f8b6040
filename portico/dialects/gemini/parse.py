"""A GenerateContent body becomes a Prompt."""

from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from portico import errors
from portico.canon.conversation import Conversation
from portico.canon.prompt import Feature, Prompt
from portico.dialects.body import PROJECT, json_object, obeyed, without_bom
from portico.dialects.diagnosis import explained, not_one_of
from portico.dialects.gemini import request as wire
from portico.dialects.gemini import rules
from portico.dialects.gemini.contents.conversation import conversation_of
from portico.dialects.gemini.contents.signatures import MARKED, Signatures
from portico.dialects.gemini.keys import in_camel_case
from portico.dialects.gemini.request import GenerateRequest, GenerationConfig
from portico.dialects.openai_chat.plain import fields_of

DIALECT = "gemini"

SPECIMEN: dict[str, Any] = {"model": "-", "contents": [{"parts": [{"text": ""}]}]}
"""The smallest valid request."""

MODEL, QUERY = ":rest", ":query"
"""Where the path's model and the query stand among the hints."""

Shape = TypeVar("Shape")
_NO_CONFIG = GenerationConfig()


def parse(body: bytes, hints: dict[str, str], signatures: Signatures) -> Prompt:
    """Read and check the body of `generateContent`.  `hints`: headers engines may obey, lower-case
    names; ":rest" is the model the path names.  A body that comes without one names it itself.

    Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
    """
    body = without_bom(body)
    document = in_camel_case(json_object(body), body)
    return prompt_of(document, body, hints, signatures)


def parse_streamed(body: bytes, hints: dict[str, str], signatures: Signatures) -> Prompt:
    """The same for `streamGenerateContent`: events with `?alt=sse`, else one JSON array."""
    prompt = parse(body, hints, signatures)
    prompt.stream = True
    prompt.framing = "events" if _wants_events(hints.get(QUERY, "")) else "array"
    return prompt


def prompt_of(
    document: dict[str, Any], body: bytes, hints: dict[str, str], signatures: Signatures
) -> Prompt:
    """Of a `document` in camelCase.  Raises: Refusal."""
    request = typed(document, GenerateRequest)
    model = model_of(request.model, hints)
    rules.check_cache(request)
    needs: set[Feature] = set()
    signatures = signatures.of(hints.get(PROJECT, ""))
    media_characters = rules.check_contents(request)
    if MARKED in body:
        signatures.check(wire.listed(request.contents))
    needs.update(media_characters)
    if rules.check_tools(request):
        needs.add("tools")
    config = request.generation_config or _NO_CONFIG
    if config is not _NO_CONFIG:
        needs |= rules.check_config(config)
    thinking = config.thinking_config
    return Prompt(
        dialect=DIALECT,
        model=model,
        stream=False,
        body=body,
        fields=fields_of(body),
        wants_usage=True,
        choices=config.candidate_count or 1,
        output_tokens_max=config.max_output_tokens,
        input_tokens_guess=(len(body) - sum(media_characters.values())) // 4,
        needs=frozenset(needs),
        conversation=partial(_converse, body, signatures),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
        service_tier=rules.tier_of(request),
        media_characters=media_characters,
        thoughts_shown=thinking is not None and thinking.include_thoughts is True,
    )


def typed(document: dict[str, Any], shape: type[Shape]) -> Shape:
    """As leniently as Google's servers read JSON: a number may stand in a string.

    Raises: Refusal: missing_field, invalid_type, invalid_value, out_of_range.
    """
    try:
        return msgspec.convert(document, shape, strict=False)
    except msgspec.ValidationError as error:
        raise explained(str(error), document, shape) from None


def model_of(said: str | None, hints: dict[str, str]) -> str:
    """The path names the model, the body may do it again; both as `models/...` or without."""
    model = (hints.get(MODEL) or said or "").removeprefix("models/")
    if not model:
        raise errors.MISSING_FIELD("'model' is missing.", field="model", limit="required")
    return model


def _wants_events(query: str) -> bool:
    for name, value in parse_qsl(query):
        if name in ("alt", "$alt"):
            if value not in ("sse", "json"):
                raise not_one_of("alt", value, ["sse", "json"])
            return value == "sse"
    return False


def _converse(body: bytes, signatures: Signatures) -> Conversation:
    # Read again instead of kept: a 20 MB image is not held twice.
    document = in_camel_case(json_object(body), body)
    return conversation_of(typed(document, GenerateRequest), document, signatures)

"""A Chat Completions body becomes a Prompt."""

from functools import partial
from typing import Any

from portico import errors
from portico.canon.prompt import Feature, Prompt
from portico.dialects.body import PROJECT, checked, json_object, obeyed, without_bom
from portico.dialects.openai_chat import rules
from portico.dialects.openai_chat.conversation import conversation_of
from portico.dialects.openai_chat.plain import PlainChat, fields_of, plain_chat
from portico.dialects.openai_chat.request import ChatRequest

DIALECT = "openai_chat"

SPECIMEN: dict[str, Any] = {"model": "-", "messages": [{"role": "user", "content": ""}]}
"""The smallest valid request: what preflight puts in the place of what is wrong."""

TWO_LIMITS = 'two_output_limits; field="max_tokens"; action=dropped'
"""The warning for max_tokens beside a different max_completion_tokens, which wins."""


def parse(body: bytes, hints: dict[str, str]) -> Prompt:
    """Read and check a request body.  `hints`: headers engines may obey, lower-case names.

    Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
    """
    body = without_bom(body)
    needs: set[Feature] = set()
    media_characters: dict[Feature, int] = {}
    request: PlainChat | ChatRequest
    tier = "standard"
    plain = plain_chat(body)
    if plain is not None:
        request, fields = plain
    else:
        request = checked(json_object(body), ChatRequest)
        media_characters = rules.check_messages(request)
        needs.update(media_characters)
        _check_rest(request, needs)
        fields = fields_of(body)
        tier = _tier(request)
    if request.n is not None and request.n > 1:
        needs.add("choices")
    wants_usage = _wants_usage(request)
    limit, warnings = _output_limit(request)
    return Prompt(
        dialect=DIALECT,
        model=request.model,
        stream=request.stream is True,
        body=body,
        fields=fields,
        wants_usage=wants_usage,
        choices=request.n or 1,
        output_tokens_max=limit,
        input_tokens_guess=(len(body) - sum(media_characters.values())) // 4,
        needs=frozenset(needs),
        conversation=partial(_converse, body),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
        service_tier=tier,
        warnings=warnings,
        media_characters=media_characters,
    )


def _check_rest(request: ChatRequest, needs: set[Feature]) -> None:
    """Everything but the messages; each rule runs only where its fields are present."""
    if request.tools or request.functions:
        needs.add("tools")
    if request.tools or request.tool_choice is not None:
        rules.check_tools(request)
    if request.function_call is not None:
        rules.check_function_call(request)
    if request.top_logprobs is not None or request.logit_bias:
        rules.check_sampling(request)
    if request.response_format is not None or request.modalities is not None:
        rules.check_format(request, needs)
    if request.metadata:
        rules.check_metadata(request.metadata)
    if request.logprobs:
        needs.add("logprobs")


def _tier(request: ChatRequest) -> str:
    """What it is priced as.  Left out, "auto" and "default" are the standard; so are tiers that only
    their inventor sells."""
    asked = request.service_tier
    return asked if asked in ("flex", "priority") else "standard"


def _wants_usage(request: PlainChat | ChatRequest) -> bool:
    options = request.stream_options
    if options is None:
        return False
    if request.stream is not True:
        raise errors.INVALID_VALUE(
            "'stream_options' is set, but 'stream' is not true; leave it out, or set 'stream'.",
            field="stream_options",
            value="an object",
            limit="stream: true",
        )
    return options.include_usage is True


def _output_limit(request: PlainChat | ChatRequest) -> tuple[int | None, list[str]]:
    old, new = request.max_tokens, request.max_completion_tokens
    if new is None:
        return old, []
    return new, [TWO_LIMITS] if old is not None and old != new else []


def _converse(body: bytes) -> Any:
    # Read again instead of kept: most prompts pass through, and a 20 MB image is not held twice.
    document = json_object(body)
    return conversation_of(checked(document, ChatRequest), document)

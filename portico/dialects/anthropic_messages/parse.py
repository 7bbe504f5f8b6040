"""A Messages body becomes a Prompt."""

from functools import partial
from typing import Any

from portico.canon.conversation import Conversation
from portico.canon.prompt import Feature, Prompt
from portico.dialects.anthropic_messages import rules
from portico.dialects.anthropic_messages.conversation import conversation_of
from portico.dialects.anthropic_messages.request import CountRequest, MessagesRequest
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.dialects.body import PROJECT, checked, json_object, obeyed, without_bom
from portico.dialects.openai_chat.plain import fields_of
from portico.kit.sealing import MARK

DIALECT = "anthropic_messages"

_MARK = MARK.encode("ascii")

SPECIMEN: dict[str, Any] = {
    "model": "-",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": ""}],
}
"""The smallest valid request."""


def parse(body: bytes, hints: dict[str, str], signatures: Signatures) -> Prompt:
    """Read and check a request body.  `hints`: headers engines may obey, lower-case names.

    Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
    """
    body = without_bom(body)
    request = _read(body, MessagesRequest)
    prompt = _prompt(body, request, hints, signatures)
    prompt.stream = request.stream is True
    prompt.output_tokens_max = request.max_tokens
    return prompt


def parse_count(body: bytes, hints: dict[str, str], signatures: Signatures) -> Prompt:
    """The same of a request whose tokens are to be counted, which says nothing of its answer."""
    body = without_bom(body)
    return _prompt(body, _read(body, CountRequest), hints, signatures)


def _read(body: bytes, shape: type[CountRequest]) -> Any:
    document = json_object(body)
    rules.normalise(document)
    return checked(document, shape)


def _prompt(
    body: bytes, request: CountRequest, hints: dict[str, str], signatures: Signatures
) -> Prompt:
    signatures = signatures.of(hints.get(PROJECT, ""))
    media_characters = rules.check_messages(request.messages)
    if _MARK in body:
        signatures.check(request.messages)
    needs: set[Feature] = set(media_characters)
    if any(tool.own for tool in request.tools or ()):
        needs.add("tools")
    if request.tools or request.tool_choice is not None:
        rules.check_tools(request)
    if rules.check_format(request):
        needs.add("json_schema")
    return Prompt(
        dialect=DIALECT,
        model=request.model,
        stream=False,
        body=body,
        fields=fields_of(body),
        wants_usage=True,
        choices=1,
        output_tokens_max=None,
        input_tokens_guess=(len(body) - sum(media_characters.values())) // 4,
        needs=frozenset(needs),
        conversation=partial(_converse, body, type(request), signatures),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
        media_characters=media_characters,
    )


def _converse(body: bytes, shape: type[CountRequest], signatures: Signatures) -> Conversation:
    # Read again instead of kept: most prompts are read once, and a 20 MB image is not held twice.
    return conversation_of(_read(body, shape), frozenset(fields_of(body)), signatures)

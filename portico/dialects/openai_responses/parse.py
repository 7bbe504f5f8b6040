"""A Responses body becomes a Prompt."""

from functools import partial
from typing import Any

import msgspec

from portico.canon.prompt import Feature, Prompt
from portico.dialects.body import (
    KEPT,
    PROJECT,
    REMOTE,
    STATE,
    checked,
    json_object,
    obeyed,
    without_bom,
)
from portico.dialects.openai_chat.plain import fields_of
from portico.dialects.openai_chat.rules import check_metadata
from portico.dialects.openai_responses import rules
from portico.dialects.openai_responses.conversation import conversation_of
from portico.dialects.openai_responses.offered import offered
from portico.dialects.openai_responses.opening import Opened, Seals, typed
from portico.dialects.openai_responses.request import ResponsesRequest
from portico.errors import Refusal

DIALECT = "openai_responses"

SPECIMEN: dict[str, Any] = {"model": "-", "input": ""}
"""The smallest valid request: what preflight puts in the place of what is wrong."""

NOT_STORED = 'not_stored; field="store"; action=dropped'
"""The warning for `store: true` where nobody keeps anything."""


class Parser:
    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def create(self, body: bytes, hints: dict[str, str]) -> Prompt:
        """Read and check the body of POST /v1/responses.  `hints`: headers engines may obey.

        Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
        """
        return self._prompt(body, hints, input_required=True)

    def about(self, body: bytes, hints: dict[str, str]) -> Prompt:
        """The same for the routes that answer about an input: it may be left out there."""
        return self._prompt(body, hints, input_required=False)

    def _prompt(self, body: bytes, hints: dict[str, str], *, input_required: bool) -> Prompt:
        body = without_bom(body)
        opened = Opened(json_object(body), self._seals.of(hints.get(PROJECT, "")))
        try:
            request = checked(opened.document, ResponsesRequest)
            needs, media_characters = _check(request, input_required=input_required, hints=hints)
        except Refusal as refusal:
            raise opened.as_sent(refusal) from None
        if opened.changed:
            body = msgspec.json.encode(opened.document)
        return Prompt(
            dialect=DIALECT,
            model=request.model,
            stream=request.stream is True,
            body=body,
            fields=fields_of(body),
            wants_usage=True,
            choices=1,
            output_tokens_max=request.max_output_tokens,
            input_tokens_guess=(len(body) - sum(media_characters.values())) // 4,
            needs=frozenset(needs),
            conversation=partial(_converse, body),
            hints=obeyed(hints),
            project_id=hints.get(PROJECT, ""),
            service_tier=_tier(request),
            warnings=[NOT_STORED] if request.store and STATE not in hints else [],
            media_characters=media_characters,
            kept=hints.get(STATE) == KEPT,
        )


def _check(
    request: ResponsesRequest, *, input_required: bool, hints: dict[str, str]
) -> tuple[set[Feature], dict[Feature, int]]:
    """Each rule runs only where its fields are present.  Gives what a model must be able to do."""
    rules.check_state(request, known=STATE in hints)
    media_characters: dict[Feature, int] = {}
    if input_required or request.input is not None:
        media_characters = rules.check_input(request, known=STATE in hints)
    needs: set[Feature] = set(media_characters)
    if request.tools or request.tool_choice is not None:
        rules.check_tools(request, remote=REMOTE in hints)
        if offered(request.tools):
            needs.add("tools")
    if request.text is not None:
        rules.check_format(request, needs)
    if request.metadata:
        check_metadata(request.metadata)
    if rules.wants_logprobs(request):
        needs.add("logprobs")
    return needs, media_characters


def _tier(request: ResponsesRequest) -> str:
    """What it is priced as.  Left out, "auto" and "default" are the standard; so are tiers that only
    their inventor sells."""
    asked = request.service_tier
    return asked if asked in ("flex", "priority") else "standard"


def _converse(body: bytes) -> Any:
    # Read again instead of kept: a 20 MB image is not held twice.
    return conversation_of(checked(typed(json_object(body)), ResponsesRequest))

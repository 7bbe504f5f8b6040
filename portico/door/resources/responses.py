"""Responses that are kept: /v1/responses/{id} and what stands behind it."""

from typing import get_args
from urllib.parse import parse_qsl

from portico import errors
from portico.dialects import diagnosis
from portico.dialects.diagnosis import brief, not_one_of
from portico.dialects.openai_responses.request import Includable
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.lines import JSON
from portico.door.resources.background import Background
from portico.resources.pages import openai_window
from portico.resources.responses.pages import input_page
from portico.resources.responses.service import Responses, told

_INCLUDABLE = get_args(Includable)
STREAM = ("stream", "starting_after", "include_obfuscation")
"""Parameters of what shows a response."""
INCLUDE = ("include",)
"""A parameter of what shows items.  What can be asked for is shown anyway, where it is there."""


class KeptResponses:
    def __init__(self, callers: Verifier, responses: Responses, background: Background) -> None:
        """background: knows the streams of those that nobody waits for."""
        self._callers = callers
        self._responses = responses
        self._background = background

    async def one(self, exchange: Exchange, response_id: str) -> None:
        """Raises: Refusal, as all of these."""
        caller = await identify(self._callers, exchange)
        included = included_in(exchange.query)
        after = _stream_in(exchange.query)
        found = await self._responses.get(caller, response_id)
        if after is not None:
            await self._background.follow(exchange, caller, found, after)
            return
        request_id = exchange.request_id.encode("ascii")
        body = told(found, sealed="reasoning.encrypted_content" in included)
        exchange.reply(200, JSON + b"x-request-id: %b\r\n" % request_id, body)

    async def delete(self, exchange: Exchange, response_id: str) -> None:
        caller = await identify(self._callers, exchange)
        await self._responses.delete(caller, response_id)
        gone = {"id": response_id, "object": "response", "deleted": True}
        answer_json(exchange, 200, gone)

    async def input_items(self, exchange: Exchange, response_id: str) -> None:
        caller = await identify(self._callers, exchange)
        included_in(exchange.query)
        window = openai_window(exchange.query)
        items = await self._responses.input_items(caller, response_id)
        answer_json(exchange, 200, input_page(items, window))


def included_in(query: bytes) -> frozenset[str]:
    """What is asked to be shown beside.  Raises: Refusal: invalid_value."""
    said = parse_qsl(query.decode("latin-1"))
    asked = frozenset(value for name, value in said if name in ("include", "include[]"))
    for each in asked - set(_INCLUDABLE):
        raise not_one_of("include", each, list(_INCLUDABLE))
    return asked


def _stream_in(query: bytes) -> int | None:
    """The number of the event that a stream goes on behind, -1 from its beginning; None where none
    is asked for.  Raises: Refusal: invalid_value."""
    said = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    stream, after = said.get("stream", "false"), said.get("starting_after", "")
    if stream not in ("true", "false"):
        raise not_one_of("stream", stream, ["true", "false"])
    if after and not (after.isascii() and after.isdigit() and len(after) <= 9):
        raise errors.INVALID_VALUE(
            f"'starting_after' is {diagnosis.shown(after)}; it must be the number of an event.",
            field="starting_after",
            value=brief(after),
            limit="a whole number",
        )
    if stream == "false":
        return None
    return int(after) if after else -1

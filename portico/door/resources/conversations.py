"""Conversations: /v1/conversations and what stands behind each."""

from typing import Any

import msgspec

from portico.dialects.body import json_object, without_bom
from portico.dialects.openai_responses.opening import typed
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.resources.repeating import Repeating, answer_again, claiming
from portico.door.resources.responses import included_in
from portico.replay.model import Replayed
from portico.resources.conversations.rules import items_in, metadata_in, new_in, told
from portico.resources.conversations.service import Conversations
from portico.resources.items import list_of, shown_item
from portico.resources.pages import openai_window


class KeptConversations:
    """Raises, all of it: Refusal."""

    def __init__(
        self,
        callers: Verifier,
        conversations: Conversations,
        repeating: Repeating,
        *,
        body_bytes_max: int,
        compression: bool,
    ) -> None:
        self._callers = callers
        self._conversations = conversations
        self._repeating = repeating
        self._body_bytes_max = body_bytes_max
        self._compression = compression

    async def make(self, exchange: Exchange, _: str) -> None:
        caller = await identify(self._callers, exchange)
        body = await self._body(exchange)
        items, metadata = new_in(_document(body) if body.strip() else {})
        once = await self._repeating.of_body(exchange, caller.project_id, body)
        try:
            made = await self._conversations.make(caller, items, metadata, claiming(once, told))
        except Replayed as again:
            answer_again(exchange, again)
            return
        answer_json(exchange, 200, told(made))

    async def one(self, exchange: Exchange, conversation_id: str) -> None:
        caller = await identify(self._callers, exchange)
        answer_json(exchange, 200, told(await self._conversations.get(caller, conversation_id)))

    async def change(self, exchange: Exchange, conversation_id: str) -> None:
        caller = await identify(self._callers, exchange)
        metadata = metadata_in(_document(await self._body(exchange)))
        changed = await self._conversations.change(caller, conversation_id, metadata)
        answer_json(exchange, 200, told(changed))

    async def delete(self, exchange: Exchange, conversation_id: str) -> None:
        caller = await identify(self._callers, exchange)
        await self._conversations.delete(caller, conversation_id)
        gone = {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
        answer_json(exchange, 200, gone)

    async def add(self, exchange: Exchange, conversation_id: str) -> None:
        caller = await identify(self._callers, exchange)
        included_in(exchange.query)
        body = await self._body(exchange)
        items = items_in(_document(body))
        once = await self._repeating.of_body(exchange, caller.project_id, body)
        try:
            added = await self._conversations.add(
                caller, conversation_id, items, claiming(once, _listed)
            )
        except Replayed as again:
            answer_again(exchange, again)
            return
        answer_json(exchange, 200, _listed(added))

    async def items(self, exchange: Exchange, conversation_id: str) -> None:
        caller = await identify(self._callers, exchange)
        included_in(exchange.query)
        window = openai_window(exchange.query)
        found = await self._conversations.page(caller, conversation_id, window)
        page = [_shown(entry.item) for entry in found[: window.limit]]
        answer_json(exchange, 200, list_of(page, more=len(found) > window.limit))

    async def item(self, exchange: Exchange, rest: str) -> None:
        caller = await identify(self._callers, exchange)
        included_in(exchange.query)
        conversation_id, _, item_id = rest.partition("/")
        entry = await self._conversations.item(caller, conversation_id, item_id)
        answer_json(exchange, 200, _shown(entry.item))

    async def delete_item(self, exchange: Exchange, rest: str) -> None:
        caller = await identify(self._callers, exchange)
        conversation_id, _, item_id = rest.partition("/")
        left = await self._conversations.delete_item(caller, conversation_id, item_id)
        answer_json(exchange, 200, told(left))

    async def _body(self, exchange: Exchange) -> bytes:
        return await body_of(exchange, self._body_bytes_max, compression=self._compression)


def _document(body: bytes) -> dict[str, Any]:
    return typed(json_object(without_bom(body)), "items")


def _listed(added: list[bytes]) -> dict[str, Any]:
    return list_of([_shown(each) for each in added], more=False)


def _shown(item: bytes) -> dict[str, Any]:
    return shown_item(msgspec.json.decode(item))

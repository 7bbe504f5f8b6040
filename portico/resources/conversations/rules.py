"""What may be said in a conversation.  Pure."""

from typing import Any

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.dialects.body import checked
from portico.dialects.diagnosis import brief, shown
from portico.dialects.openai_chat.rules import check_metadata
from portico.dialects.openai_responses.items import Item, ItemReference
from portico.errors import Refusal
from portico.resources.conversations.model import ITEMS_AT_ONCE_MAX, Conversation

_RETRY_MS = 2_000


class Metadata(msgspec.Struct):
    """Body of POST /v1/conversations/{id}.  null: none of them stay."""

    metadata: dict[str, Any] | None


class NewConversation(msgspec.Struct):
    """Body of POST /v1/conversations."""

    items: list[Item] | None = None
    metadata: dict[str, Any] | None = None


class NewItems(msgspec.Struct):
    """Body of POST /v1/conversations/{id}/items."""

    items: list[Item]


def metadata_in(document: dict[str, Any]) -> dict[str, str]:
    """Raises: Refusal."""
    said = checked(document, Metadata).metadata or {}
    check_metadata(said)
    return said


def new_in(document: dict[str, Any]) -> tuple[list[Any], dict[str, str]]:
    """Items and metadata of a document whose items are `typed`.  Raises: Refusal."""
    said = checked(document, NewConversation)
    _check_items(said.items or [])
    check_metadata(said.metadata or {})
    return document.get("items") or [], said.metadata or {}


def items_in(document: dict[str, Any]) -> list[Any]:
    """The same of items alone.  Raises: Refusal."""
    said = checked(document, NewItems)
    if not said.items:
        raise errors.OUT_OF_RANGE(
            "'items' has 0 items; it must have at least 1.", field="items", value=0, limit=1
        )
    _check_items(said.items)
    given: list[Any] = document["items"]
    return given


def _check_items(items: list[Item]) -> None:
    if len(items) > ITEMS_AT_ONCE_MAX:
        raise errors.OUT_OF_RANGE(
            f"'items' has {len(items)} items; it must have at most {ITEMS_AT_ONCE_MAX}.",
            field="items",
            value=len(items),
            limit=ITEMS_AT_ONCE_MAX,
        )
    for at, item in enumerate(items):
        if isinstance(item, ItemReference):
            raise errors.UNSUPPORTED_FEATURE(
                f"'items[{at}]' refers to {shown(item.id)}; a conversation holds items themselves.",
                field=f"items[{at}].type",
                value="item_reference",
                remedy="Send the item itself in its place.",
            )


def check_room(
    conversation_id: str, items: int, size_bytes: int, items_max: int, bytes_max: int
) -> None:
    """Of a conversation with what is added.  Raises: Refusal: out_of_range, body_too_large."""
    if items > items_max:
        raise errors.OUT_OF_RANGE(
            f"The conversation {conversation_id!r} would have {items} items; at most {items_max} "
            "can be.",
            field="items",
            value=items,
            limit=items_max,
            remedy="Delete some, or begin another.",
        )
    if size_bytes > bytes_max:
        raise errors.BODY_TOO_LARGE(
            f"The conversation {conversation_id!r} would have {size_bytes} bytes; at most "
            f"{bytes_max} can be.",
            field="items",
            value=size_bytes,
            limit=bytes_max,
            remedy="Delete some items, or begin another.",
        )


def not_found(conversation_id: str, field: str = "conversation_id") -> Refusal:
    """The same for an id that never was, is somebody else's, has expired or was deleted.

    field: where a request names it."""
    return errors.RESOURCE_NOT_FOUND(
        f"There is no such conversation {shown(conversation_id)}.",
        field=field,
        value=brief(conversation_id),
    )


def no_item(item_id: str, field: str = "item_id") -> Refusal:
    """The same, and where there is no such conversation, too."""
    return errors.RESOURCE_NOT_FOUND(
        f"There is no such item {shown(item_id)} in that conversation.",
        field=field,
        value=brief(item_id),
    )


def check_kept(caller: Caller) -> None:
    """Raises: Refusal: zero_retention."""
    if caller.content_ms_max == 0:
        raise nothing_kept()


def nothing_kept() -> Refusal:
    return errors.ZERO_RETENTION(
        "Nothing is kept of what this project sends (zero retention), so it can have no "
        "conversations.",
        remedy="Send the earlier turns in 'input'; or use a project that keeps content.",
    )


def locked(conversation_id: str) -> Refusal:
    return errors.CONVERSATION_LOCKED(
        f"Another request is answered in the conversation {conversation_id!r}.",
        field="conversation",
        value=brief(conversation_id),
        retry_after_ms=_RETRY_MS,
    )


def told(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at_ms // 1000,
        "metadata": conversation.metadata,
    }

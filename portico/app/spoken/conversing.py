"""Responses and conversations that are kept: what reads, changes and deletes them."""

from portico.app.storage import Books
from portico.callers.scopes import RESPONSES
from portico.db.readers import Readers
from portico.door.endpoints.answering import Verifier
from portico.door.resources.background import Background
from portico.door.resources.conversations import KeptConversations
from portico.door.resources.repeating import Repeating
from portico.door.resources.responses import INCLUDE, STREAM, KeptResponses
from portico.door.routes import Handle, Route
from portico.kit.clock import Clock
from portico.resources.conversations.rules import Metadata, NewConversation, NewItems
from portico.resources.conversations.service import Conversations, Limits
from portico.resources.pages import OPENAI
from portico.resources.responses.service import Responses
from portico.settings import Settings

_DAY_MS = 86_400_000
_RESPONSE = "/v1/responses/{id}"
_CONVERSATION = "/v1/conversations/{id}"
_PAGE = ("after", "limit", "order", *INCLUDE)


def conversing(
    settings: Settings,
    callers: Verifier,
    books: Books,
    readers: Readers,
    clock: Clock,
    background: Background,
    repeating: Repeating,
) -> list[Route]:
    responses = KeptResponses(
        callers, Responses(books.writer, readers, clock, books.room), background
    )
    conversations = KeptConversations(
        callers,
        Conversations(books.writer, readers, clock, _limits(settings), books.room),
        repeating,
        body_bytes_max=settings.edge.body_bytes_max,
        compression=settings.edge.compression,
    )
    return routes(responses, conversations)


def routes(responses: KeptResponses, conversations: KeptConversations) -> list[Route]:
    return [*_responses(responses), *_conversations(conversations)]


def _limits(settings: Settings) -> Limits:
    days = settings.conversations.keep_days
    return Limits(
        days * _DAY_MS if days else None,
        settings.conversations.items_max,
        settings.responses.context_bytes_max,
    )


def _responses(kept: KeptResponses) -> list[Route]:
    listed = f"{_RESPONSE}/input_items"
    return [
        _route("GET", _RESPONSE, kept.one, "A response.", query=(*INCLUDE, *STREAM)),
        _route("DELETE", _RESPONSE, kept.delete, "Delete a response."),
        _route("GET", listed, kept.input_items, "What it was sent.", query=(*OPENAI, *INCLUDE)),
    ]


def _conversations(kept: KeptConversations) -> list[Route]:
    items, item = f"{_CONVERSATION}/items", f"{_CONVERSATION}/items/{{item}}"
    return [
        _route(
            "POST", "/v1/conversations", kept.make, "Begin a conversation.", body=NewConversation
        ),
        _route("GET", _CONVERSATION, kept.one, "A conversation."),
        _route("POST", _CONVERSATION, kept.change, "Change its metadata.", body=Metadata),
        _route("DELETE", _CONVERSATION, kept.delete, "Delete it, and all that is said in it."),
        _route("POST", items, kept.add, "Add items to it.", body=NewItems, query=INCLUDE),
        _route("GET", items, kept.items, "What is said in it.", query=_PAGE),
        _route("GET", item, kept.item, "One item of it.", query=INCLUDE),
        _route("DELETE", item, kept.delete_item, "Delete an item."),
    ]


def _route(
    method: str,
    path: str,
    handle: Handle,
    summary: str,
    *,
    body: type | None = None,
    query: tuple[str, ...] = (),
) -> Route:
    return Route(method, path, handle, summary, body, scope=RESPONSES, query=query)

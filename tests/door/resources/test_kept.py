"""Every route about what is kept, over HTTP: whose it is, what is no body, what is told of it; on both
databases."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from portico import errors
from portico.app.spoken.conversing import routes
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.callers.model import Caller
from portico.callers.scopes import RESPONSES
from portico.db.database import Database
from portico.door.dispatch import Dispatch
from portico.door.resources.conversations import KeptConversations
from portico.door.resources.repeating import Repeating
from portico.door.resources.responses import KeptResponses
from portico.door.routes import Routes
from portico.resources.pages import Window
from tests.door.scene import Answer, Scene, Watching, request, serving
from tests.resources.attic import MINE, NEIGHBOUR, STRANGER, Attic, attic, number, said

pytestmark = pytest.mark.anyio
_ALL = Window("", "", 20)
CALLERS = {"mine": MINE, "neighbour": NEIGHBOUR, "stranger": STRANGER}
RESPONSE, CONVERSATION = "/v1/responses", "/v1/conversations"
NOBODY: Any = None
"""There is nobody in the background here."""


class Callers:
    """Whose key is the name of a caller."""

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        if scope not in CALLERS[credential].scopes or scope != RESPONSES:
            raise errors.PERMISSION_DENIED("Not with this key.")
        return CALLERS[credential]


class Door:
    """scene: of the routes.  kept, chat, item: what MINE has; gone, expired: what it had."""

    def __init__(self, scene: Scene, mine: Attic) -> None:
        self.scene = scene
        self.mine = mine
        self.ids: dict[str, dict[str, str]] = {}

    async def fill(self) -> None:
        mine, never = self.mine, number(9)
        first = mine.keep(f"resp_{number(1)}", given=[said("a", id="msg_a")], made=[said("b")])
        expired = mine.keep(f"resp_{number(2)}", given=[said("a")], keep_ms=1_000)
        gone = mine.keep(f"resp_{number(3)}")
        await mine.responses.delete(MINE, gone)
        chat = await mine.conversations.make(MINE, [said("a")], {"a": "1"})
        brief = replace(MINE, retention="days", retention_days=1)
        old = await mine.conversations.make(brief, [said("a")], {})
        left = await mine.conversations.make(MINE, [said("a")], {})
        items = {each.id: await self._first(each.id) for each in (chat, old, left)}
        await mine.conversations.delete(MINE, left.id)
        mine.clock.pass_s(86_400)
        self.ids = {
            "theirs": {"response": first, "chat": chat.id, "item": items[chat.id]},
            "expired": {"response": expired, "chat": old.id, "item": items[old.id]},
            "deleted": {"response": gone, "chat": left.id, "item": items[left.id]},
            "none": {"response": f"resp_{never}", "chat": f"conv_{never}", "item": f"msg_{never}"},
        }

    async def _first(self, conversation_id: str) -> str:
        (entry,) = await self.mine.conversations.page(MINE, conversation_id, _ALL)
        return entry.id

    async def ask(self, method: str, path: str, by: str = "mine", body: Any = None) -> Answer:
        sent = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        key = f"Authorization: Bearer {by}"
        return await self.scene.ask(request(path, sent, key, method=method))


@pytest.fixture
async def door(database: Database) -> AsyncIterator[Door]:
    async with attic(database) as mine, opened(mine) as made:
        await made.fill()
        yield made


@asynccontextmanager
async def opened(mine: Attic) -> AsyncIterator[Door]:
    kept = KeptResponses(Callers(), mine.responses, NOBODY)
    chats = KeptConversations(
        Callers(),
        mine.conversations,
        Repeating(mine.clock, 1_000),
        body_bytes_max=100_000,
        compression=True,
    )
    serve = Dispatch(Routes(routes(kept, chats)), OPENAI_CHAT.render, Watching()).serve
    async with serving(serve, render=OPENAI_CHAT.render) as scene:
        yield Door(scene, mine)


WAYS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/responses/{response}", None),
    ("GET", "/v1/responses/{response}?include=reasoning.encrypted_content", None),
    ("GET", "/v1/responses/{response}/input_items", None),
    ("DELETE", "/v1/responses/{response}", None),
    ("GET", "/v1/conversations/{chat}", None),
    ("POST", "/v1/conversations/{chat}", {"metadata": {}}),
    ("POST", "/v1/conversations/{chat}/items", {"items": [said("x")]}),
    ("GET", "/v1/conversations/{chat}/items", None),
    ("GET", "/v1/conversations/{chat}/items/{item}", None),
    ("DELETE", "/v1/conversations/{chat}/items/{item}", None),
    ("DELETE", "/v1/conversations/{chat}", None),
]
_ID = re.compile(r"(resp|conv|msg)_[0-9a-f]{32}")


def test_every_route_is_asked() -> None:
    asked = {
        (method, re.sub(r"\{response\}|\{chat\}", "{id}", path.partition("?")[0]))
        for method, path, _ in WAYS
    }
    chats = KeptConversations(NOBODY, NOBODY, NOBODY, body_bytes_max=1, compression=False)
    there = routes(KeptResponses(NOBODY, NOBODY, NOBODY), chats)
    assert {(route.method, route.name) for route in there} - asked == {
        ("POST", "/v1/conversations")
    }
    assert {route.scope for route in there} == {RESPONSES}


@pytest.mark.parametrize(("method", "path", "body"), WAYS)
async def test_404_whatever_is_not_theirs_is_as_what_never_was(
    door: Door, method: str, path: str, body: Any
) -> None:
    """The same answer, but the id; and the same work: the database is asked the same."""
    heard: list[str] = []
    told = set()

    def hear(_: Any, __: Any, sql: str, *___: Any) -> None:
        if "response" in sql or "conversation" in sql:
            heard.append(sql)

    engine = door.mine.database.backend.engine
    event.listen(engine, "before_cursor_execute", hear)
    for by, which in (
        ("mine", "none"),
        ("mine", "expired"),
        ("mine", "deleted"),
        ("neighbour", "theirs"),
        ("stranger", "theirs"),
        ("stranger", "none"),
    ):
        heard.clear()
        answer = await door.ask(method, path.format(**door.ids[which]), by, body)
        assert answer.status == 404
        told.add((_ID.sub("ID", answer.body.decode()), tuple(heard)))
    event.remove(engine, "before_cursor_execute", hear)
    assert len(told) == 1
    assert next(iter(told))[1], "it was looked for"
    assert (await door.ask(method, path.format(**door.ids["theirs"]), "mine", body)).status == 200


async def test_deleting_takes_one_and_leaves_the_rest(door: Door) -> None:
    theirs, other = door.ids["theirs"], door.mine.keep(f"resp_{number(7)}")
    assert (await door.ask("DELETE", f"{RESPONSE}/{theirs['response']}")).json == {
        "id": theirs["response"],
        "object": "response",
        "deleted": True,
    }
    assert (await door.ask("DELETE", f"{RESPONSE}/{theirs['response']}")).status == 404
    assert (await door.ask("GET", f"{RESPONSE}/{other}")).status == 200


async def test_a_response_is_shown_as_it_was_answered(door: Door) -> None:
    answer = await door.ask("GET", f"{RESPONSE}/{door.ids['theirs']['response']}")
    assert answer.json["output"] == [said("b")]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "path", [CONVERSATION, f"{CONVERSATION}/{{chat}}", f"{CONVERSATION}/{{chat}}/items"]
)
@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"\xff", b'{"items":1,"metadata":1}', b'{"items":[{}],"metadata":{"a":null}}'],
)
async def test_400_what_is_no_body(door: Door, path: str, body: bytes) -> None:
    answer = await door.ask("POST", path.format(**door.ids["theirs"]), body=body)
    assert answer.status == 400
    assert answer.json["error"]["code"]


async def test_a_conversation_may_begin_with_nothing(door: Door) -> None:
    for body in (None, {}, {"items": None, "metadata": None}):
        made = await door.ask("POST", CONVERSATION, body=body)
        assert (made.status, made.json["metadata"]) == (200, {})
        listed = await door.ask("GET", f"{CONVERSATION}/{made.json['id']}/items")
        assert listed.json == {
            "object": "list",
            "data": [],
            "first_id": "",
            "last_id": "",
            "has_more": False,
        }


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("include=odd", "include"),
        ("include%5B%5D=odd", "include"),
        ("stream=yes", "stream"),
        ("stream=true&starting_after=x", "starting_after"),
        ("starting_after=-1", "starting_after"),
    ],
)
async def test_400_what_cannot_be_asked_of_a_response(door: Door, query: str, param: str) -> None:
    answer = await door.ask("GET", f"{RESPONSE}/{door.ids['theirs']['response']}?{query}")
    assert (answer.status, answer.json["error"]["param"]) == (400, param)

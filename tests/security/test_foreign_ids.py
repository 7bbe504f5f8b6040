"""Whoever names an object of somebody else's is told, and makes the database do, what he is told of one
that never was: on every route that takes an id, by every field and parameter, over a WebSocket too.

What is tried comes from the table of routes (`foreign.py`); how long it takes is measured by
`python -m bench.timing`.
"""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from websockets.asyncio.client import connect

from portico.accounts.actors.model import operator
from portico.accounts.catalogue.terms import set_terms
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.projects.service import create_organisation, create_project
from portico.accounts.service import open_accounts
from portico.app import serving
from portico.db.database import Database, open_database
from portico.kit.clock import SystemClock
from portico.kit.tasks import Tasks
from portico.pricing.model import TermsWish
from portico.settings import load
from tests.door.scene import Wire
from tests.door.scene import request as sent_as
from tests.door.test_openapi import DOCUMENT, ROUTES
from tests.security.canaries import picture_with
from tests.security.foreign import (
    BODIES,
    BOUNDARY,
    CURSORS,
    HARMLESS,
    HELLO,
    KINDS,
    MODELS,
    NOT_OURS,
    Cell,
    cells,
    id_fields,
    socket_messages,
    tried_fields,
)

pytestmark = pytest.mark.anyio
RELATIONS = ("neighbour", "stranger", "deleted", "expired")
_ID = re.compile(r"[a-z]+_[0-9a-f]{32}(i[0-9a-f]+|o[0-9a-f]+)?")
_TIME = re.compile(r"\b1[0-9]{12}\b|[0-9-]{10}T[0-9:]{8}Z")
_FRAME = re.compile("BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA")
_SYNC = "resp_" + "f" * 32
"""Asked for, and deleted, so that whoever waits for that waits for what was written before."""
_PLACE = re.compile(r"<(my )?(\w+)>")
LASTING = ("response", "conversation", "file", "upload", "batch")
"""Tables with a time to live."""
Ids = dict[str, str]


# -- the table is whole ----------------------------------------------------------------------


def test_every_route_with_an_id_is_in_it() -> None:
    named = [each for each in ROUTES if "{id}" in each.name and each.name.startswith("/v1")]
    assert len(named) > 30
    for route in named:
        known = MODELS.match(route.name) or route.name.partition("{id}")[0] in KINDS
        assert known, f"{route.name}: say in KINDS what its id is of"
        assert MODELS.match(route.name) or any("<" in each.path for each in cells(route))


def test_every_parameter_that_takes_one_is_in_it() -> None:
    for route in ROUTES:
        tried = set(CURSORS.get(route.name, ())) if route.method == "GET" else set()
        assert set(route.query) - HARMLESS == tried, f"{route.name}: enter it in CURSORS"


def test_every_field_that_takes_one_is_in_it() -> None:
    assert id_fields(DOCUMENT) - set(NOT_OURS) <= tried_fields(), "enter it in BODIES"
    assert tried_fields() >= {"previous_response_id", "conversation", "file_id", "part_ids"}


# -- the site ---------------------------------------------------------------------------------


class Heard(list[str]):
    """Every statement that the database was asked, with its values."""

    def told(self) -> list[str]:
        """With ids and times alike, and emptied; not those that find out who asks, nor where one
        transaction ends and the next begins: the writer puts together what comes at once."""
        found = [
            _TIME.sub("TIME", _ID.sub("ID", each))
            for each in self
            if not (_FRAME.match(each) or _SYNC in each or "FROM api_key" in each)
        ]
        self.clear()
        return found


@dataclass
class Site:
    """A server in this process.  keys: by who asks.  ids: by relation, then by kind."""

    port: int
    database: Database
    keys: dict[str, str]
    heard: Heard
    ids: dict[str, Ids] = field(default_factory=dict)
    lines: list[Any] = field(default_factory=list)
    """What tells one line of a batch from another, which should not."""
    wire: Wire | None = None
    traced: bool = True
    said: tuple[str, ...] = ()
    """Names of the headers of the last answer, and how long it was."""

    async def ask(
        self, method: str, path: str, body: Any = None, *headers: str, who: str = "me"
    ) -> tuple[int, str]:
        if self.wire is None or self.wire.reader.at_eof():
            self.wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        sent = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        lines = (f"Authorization: Bearer {self.keys[who]}", *headers)
        await self.wire.send(sent_as(path, sent, *lines, method=method))
        answer = await self.wire.answer()
        self.said = (*sorted(answer.headers), answer.headers.get("content-length", ""))
        if answer.headers.get("connection") == "close":
            await self.wire.close()
            self.wire = None
        return answer.status, answer.body.decode()

    async def made(self, path: str, body: Any, *headers: str, who: str) -> dict[str, Any]:
        status, told = await self.ask("POST", path, body, *headers, who=who)
        assert status == 200, told
        found: dict[str, Any] = json.loads(told)
        return found

    def does(self, *statements: str) -> None:
        def change(connection: Any) -> None:
            for each in statements:
                connection.exec_driver_sql(each)

        self.database.write(change)


async def objects(site: Site, who: str) -> Ids:
    """One of every kind, of `who`'s project."""
    make = partial(site.made, who=who)
    chat = "/v1/chat/completions"
    said = {"type": "message", "role": "user", "content": "Hello"}
    line = {"custom_id": "1", "method": "POST", "url": chat, "body": _chat(HELLO)}
    text = await make("/v1/files", *_form("a.txt", b"Hello", "user_data"))
    picture = await make("/v1/files", *_form("a.png", picture_with("x"), "vision"))
    lines = await make("/v1/files", *_form("a.jsonl", json.dumps(line).encode(), "batch"))
    asked = {"model": "sim-echo", "input": "Hello"}
    response = await make("/v1/responses", asked)
    live = {**asked, "background": True, "stream": True}
    _, events = await site.ask("POST", "/v1/responses", live, who=who)
    talk = await make("/v1/conversations", {"items": [said]})
    upload = await make(
        "/v1/uploads",
        {"bytes": 3, "filename": "u", "mime_type": "text/plain", "purpose": "user_data"},
    )
    part = await make(f"/v1/uploads/{upload['id']}/parts", *_form("p", b"abc", "", "data"))
    wish = {"input_file_id": lines["id"], "endpoint": chat, "completion_window": "24h"}
    batch = await make("/v1/batches", wish)
    params = {**_chat(HELLO), "max_tokens": 9}
    messages = await make(
        "/v1/messages/batches", {"requests": [{"custom_id": "1", "params": params}]}
    )
    return {
        "file": text["id"],
        "picture": picture["id"],
        "lines": lines["id"],
        "response": response["id"],
        "request": response["id"].replace("resp_", "req_"),
        "streamed": re.findall(r"resp_[0-9a-f]{32}", events)[0],
        "answer": response["output"][0]["id"],
        "asked": await first(site, f"/v1/responses/{response['id']}/input_items", who),
        "conversation": talk["id"],
        "item": await first(site, f"/v1/conversations/{talk['id']}/items", who),
        "upload": upload["id"],
        "part": part["id"],
        "batch": batch["id"],
        "message_batch": messages["id"],
    }


async def first(site: Site, path: str, who: str) -> str:
    _, listed = await site.ask("GET", path, who=who)
    return str(json.loads(listed)["data"][0]["id"])


def _chat(messages: Any) -> dict[str, Any]:
    return {"model": "sim-echo", "messages": messages}


def _form(name: str, content: bytes, purpose: str, field: str = "file") -> tuple[bytes, str]:
    """Body and header."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    first = f'{head}purpose"\r\n\r\n{purpose}\r\n' if purpose else ""
    begin = f'{first}{head}{field}"; filename="{name}"\r\n\r\n'.encode()
    return (
        begin + content + f"\r\n--{BOUNDARY}--\r\n".encode(),
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
    )


@contextlib.asynccontextmanager
async def opened(folder: Path, url: str, patch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Two organisations, one of them with two projects; everything that there can be, in each."""
    heard, backstage, ready = Heard(), [], asyncio.get_running_loop().create_future()
    keys = customers(folder, url)

    def database_of(settings: Any) -> Database:
        made = open_database(folder, url)
        if not url:
            event.listen(
                made.backend.engine,
                "connect",
                lambda driver, _: driver.set_trace_callback(heard.append),
            )
        return made

    class Known(Tasks):
        def __init__(self, on_failure: Any) -> None:
            super().__init__(on_failure)
            backstage.append(self)

    patch.setattr(serving, "opened_database", database_of)
    patch.setattr(serving, "Tasks", Known)
    settings = load(
        environment={
            "PORTICO_SERVER_PORT": "0",
            "PORTICO_SERVER_DATA_DIR": str(folder),
            "PORTICO_ENGINE_ENABLED": "false",
            "PORTICO_DATABASE_URL": url,
        }
    )
    running = asyncio.ensure_future(
        serving.run(settings, simulated=True, on_ready=ready.set_result)
    )
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running  # it says why it did not start
    port = int(ready.result().base_url.rpartition(":")[2].removesuffix("/v1"))
    site = Site(port, open_database(folder, url), keys, heard, traced=not url)
    try:
        await fill(site)
        for tasks in backstage:  # from here on nobody asks the database but who is told to
            await tasks.close()
        yield site
    finally:
        if site.wire is not None:
            await site.wire.close()
        if not running.done():
            signal.raise_signal(signal.SIGTERM)
        await running


def customers(folder: Path, url: str) -> dict[str, str]:
    database, clock = open_database(folder, url), SystemClock()
    peppers, _ = open_accounts(database, folder, clock, KeyWish("first"))

    def change(connection: Any) -> dict[str, str]:
        errand = operator(connection, clock)
        ours, theirs = (create_organisation(errand, name).id for name in ("ours", "theirs"))
        for each in (ours, theirs):
            set_terms(errand, TermsWish(organisation_id=each, kind="internal"))
        projects = {
            who: create_project(errand, organisation, who).id
            for who, organisation in (("me", ours), ("neighbour", ours), ("stranger", theirs))
        }
        return {
            who: create_key(errand, peppers, KeyWish(who), project).secret
            for who, project in projects.items()
        }

    return database.write(change)


async def fill(site: Site) -> None:
    owners = {"deleted": "me", "expired": "me"}
    for relation in ("me", *RELATIONS):
        site.ids[relation] = await objects(site, owners.get(relation, relation))
    for relation, ids in site.ids.items():
        who = owners.get(relation, relation)
        await ended(site, f"/v1/batches/{ids['batch']}", "status", "completed", who)
        await ended(
            site, f"/v1/messages/batches/{ids['message_batch']}", "processing_status", "ended", who
        )
    gone = site.ids["deleted"]
    for relation in ("deleted", "expired"):  # what a request has used is neither
        site.ids[relation]["request"] = site.ids["stranger"]["request"]
    for path, names in (
        ("files", ("file", "picture", "lines")),
        ("responses", ("response", "streamed")),
        ("conversations", ("conversation",)),
        ("messages/batches", ("message_batch",)),
    ):
        for name in names:
            assert (await site.ask("DELETE", f"/v1/{path}/{gone[name]}"))[0] == 200
    site.does(  # what has no route for it goes when its time is over
        f"DELETE FROM batch WHERE id = '{gone['batch']}'",
        f"DELETE FROM upload_part WHERE upload_id = '{gone['upload']}'",
        f"DELETE FROM upload WHERE id = '{gone['upload']}'",
    )
    old = ", ".join(f"'{each}'" for each in site.ids["expired"].values())
    site.does(*(f"UPDATE {name} SET expires_at_ms = 1 WHERE id IN ({old})" for name in LASTING))
    site.lines = await differing_in_batches(site)


async def ended(site: Site, path: str, field: str, word: str, who: str) -> None:
    async with asyncio.timeout(30):
        while json.loads((await site.ask("GET", path, who=who))[1])[field] != word:  # noqa: ASYNC110 - it is polled
            await asyncio.sleep(0.02)


# -- what is tried ----------------------------------------------------------------------------


def filled(template: Any, mine: Ids, tried: Ids) -> Any:
    """template: text, or what JSON is made of."""
    if template is None or isinstance(template, str):
        return template and _PLACE.sub(lambda m: (mine if m[1] else tried)[m[2]], template)
    return json.loads(str(filled(json.dumps(template), mine, tried)))


def never(ids: Ids, place: int) -> Ids:
    """Ids that never were, alike but for the digit at `place`; -1: the last, so that they sort as
    these do."""

    def other(id: str) -> str:
        at = len(id.partition("_")[0]) + place if place > 0 else len(id) + place
        return f"{id[:at]}{'1' if id[at] == '0' else '0'}{id[at + 1 :]}"

    return {kind: other(id) for kind, id in ids.items()}


def seen(told: str, tried: Ids) -> str:
    """An answer, whatever was asked for."""
    for id in sorted(tried.values(), key=len, reverse=True):
        told = told.replace(id, "ID")
    return _TIME.sub("TIME", _ID.sub("ID", told))


Seen = tuple[int, tuple[str, ...], str, list[str]]
"""Status, head, body, and what the database was asked."""


async def asked(site: Site, cell: Cell, tried: Ids) -> Seen:
    mine = site.ids["me"]
    body = filled(cell.body, mine, tried)
    path = filled(cell.path, mine, tried)
    sent = body.encode() if isinstance(body, str) else body
    site.heard.clear()
    status, told = await site.ask(cell.method, path, sent, *cell.headers)
    head = site.said
    if cell.method != "GET":
        await site.ask("DELETE", f"/v1/responses/{_SYNC}")
    return status, head, seen(told, tried), site.heard.told()


def tries(site: Site, place: int = 20) -> Iterator[tuple[str, Ids, Ids]]:
    """Relation, ids of somebody's, and such as never were."""
    for relation in RELATIONS:
        theirs = site.ids[relation]
        yield relation, theirs, never(theirs, place)


async def differing(site: Site, all_cells: list[Cell]) -> list[Any]:
    """What tells somebody else's from what never was."""
    found: list[Any] = []
    for cell in all_cells:
        # A cursor may be anything: what lies behind it goes by its place in the order alone.
        for relation, theirs, nobodys in tries(site, -1 if cell.by == "cursor" else 20):
            told, nothing = await asked(site, cell, theirs), await asked(site, cell, nobodys)
            if told != nothing or (cell.by == "path" and told[0] != 404):
                found.append((cell.method, cell.path, cell.body, relation, told, nothing))
    return found


async def differing_on_a_socket(site: Site) -> list[Any]:
    found = []
    address = f"ws://127.0.0.1:{site.port}/v1/responses"
    headers = {"Authorization": f"Bearer {site.keys['me']}"}
    async with connect(address, additional_headers=headers, proxy=None) as socket:

        async def said(message: Any, tried: Ids) -> Seen:
            site.heard.clear()
            await socket.send(json.dumps(filled(message, site.ids["me"], tried)))
            answer = json.loads(await socket.recv())
            await site.ask("DELETE", f"/v1/responses/{_SYNC}")
            return answer["status"], (), seen(json.dumps(answer), tried), site.heard.told()

        for message, (relation, theirs, nobodys) in product(socket_messages(), tries(site)):
            told, nothing = await said(message, theirs), await said(message, nobodys)
            if told != nothing or told[0] not in (400, 404):
                found.append((message, relation, told, nothing))
    return found


async def differing_in_batches(site: Site) -> list[Any]:
    """Lines are requests of whoever sent them."""
    alone = [each for each in BODIES["ResponsesRequest"] if "conversation" not in each]
    lines = {}
    for (at, body), (relation, theirs, nobodys) in product(enumerate(alone), tries(site)):
        for number, ids in enumerate((theirs, nobodys)):
            lines[f"{at} {relation} {number}"] = (filled(body, site.ids["me"], ids), ids)
    text = "\n".join(
        json.dumps({"custom_id": name, "method": "POST", "url": "/v1/responses", "body": body})
        for name, (body, _) in lines.items()
    )
    file = await site.made("/v1/files", *_form("l", text.encode(), "batch"), who="me")
    wish = {"input_file_id": file["id"], "endpoint": "/v1/responses", "completion_window": "24h"}
    batch = await site.made("/v1/batches", wish, who="me")
    await ended(site, f"/v1/batches/{batch['id']}", "status", "completed", "me")
    _, told = await site.ask("GET", f"/v1/batches/{batch['id']}")
    _, answers = await site.ask("GET", f"/v1/files/{json.loads(told)['error_file_id']}/content")
    by_name = {}
    for each in map(json.loads, answers.splitlines()):
        _, ids = lines[each["custom_id"]]
        by_name[each["custom_id"]] = seen(json.dumps(each["response"]), ids)
    assert by_name.keys() == lines.keys(), "all of them are refused"
    first = {name: by_name[f"{name.rpartition(' ')[0]} 0"] for name in by_name}
    return [(name, told, first[name]) for name, told in by_name.items() if told != first[name]]


async def served(site: Site, cell: Cell) -> bool:
    """Is one's own?  And does the database know?"""
    status, _, _, statements = await asked(site, cell, site.ids["me"])
    return (statements or not site.traced) and (
        status != 404 if cell.by == "path" else status == 200
    )


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
async def test_what_is_not_ones_own_is_as_what_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, database: str
) -> None:
    """PostgreSQL does not say here what it was asked: there it is what is answered that counts."""
    url: str = request.getfixturevalue("postgres_url") if database == "postgresql" else ""
    all_cells = [each for route in ROUTES for each in cells(route)]
    assert len(all_cells) > 90
    async with opened(tmp_path, url, monkeypatch) as site:
        assert site.lines == []
        assert await differing(site, all_cells) == []
        assert await differing_on_a_socket(site) == []
        # And what was refused was refused for whose it is.  What ends something comes last.
        own = [each for each in all_cells if "<my conv" not in each.path or not each.last]
        own.sort(key=lambda each: (each.last, -len(each.path)))
        assert [each for each in own if not await served(site, each)] == []

"""What nobody asked to keep is left nowhere, and what was deleted is left nowhere either: words that
occur nowhere else are sent by every way there is, and looked for in every file beside a server, and
once it is gone.
"""

import json
import signal
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.sync.client import connect

from portico.db.database import connect_database
from tests.security.canaries import (
    CHAT,
    ECHO,
    RESPONSES,
    Sent,
    chat,
    new_canary,
    picture_with,
    said,
)
from tests.security.test_zero_retention import Place, ask, place, talkative
from tests.tools import servers
from tests.whole.conftest import Served
from tests.whole.wire import eventually

__all__ = ["place", "talkative"]
CALM = ("x-portico-sim: chunk=50",)
"""One token a delta would be one event each: the whole canary is in one either way."""
TOOLS = {"PORTICO_TOOLS_ENABLED": "true", "PORTICO_TOOLS_PRIVATE_ALLOWED": "true"}


def unstored() -> Iterator[Sent]:
    """With `store: false`, or to routes that keep nothing."""
    for fields in _fields():
        text = new_canary()
        body = {"model": ECHO, "input": said(text), "store": False, **fields(text)}
        yield Sent(RESPONSES, body, text, CALM)
        yield Sent(RESPONSES, {**body, "stream": True}, text, CALM)
    for path in ("compact", "input_tokens"):
        text = new_canary()
        yield Sent(f"{RESPONSES}/{path}", {"model": ECHO, "input": said(text)}, text)
    for path, body in (
        ("/v1/preflight/responses", {"model": ECHO, "input": said(text := new_canary())}),
        ("/v1/moderations", {"input": said(text)}),
        (CHAT, {**chat(text), "store": True, "metadata": {"note": text}}),
    ):
        yield Sent(path, body, text)
    for model in ("sim-slow", "sim-stall"):
        text = new_canary()
        slow = {"model": model, "input": said(text), "store": False, "stream": True}
        yield Sent(RESPONSES, slow, text, ("x-portico-sim: first_ms=0",), hang_up=True)


def _fields() -> list[Callable[[str], dict[str, Any]]]:
    """What a request says of a canary besides, or in the place of its input."""
    return [
        lambda _: {},
        lambda text: {
            "instructions": said(text),
            "metadata": {"note": text},
            "user": text,
            "safety_identifier": text,
            "prompt_cache_key": text,
        },
        lambda text: {
            "model": "sim-tool",
            "tools": [{"type": "function", "name": f"t_{text}", "parameters": {"title": text}}],
            "tool_choice": "required",
            "input": [
                {"role": "user", "content": said(text)},
                {"type": "function_call", "call_id": text, "name": "f", "arguments": f'"{text}"'},
                {"type": "function_call_output", "call_id": text, "output": said(text)},
            ],
        },
        lambda text: {"input": [{"role": "user", "content": _parts(text)}]},
        lambda _: {"previous_response_id": "resp_none"},
        lambda _: {"conversation": "conv_none"},
        lambda text: {"input": [{"role": "user", "content": text}, {"id": "msg_none"}]},
        lambda _: {"background": True},
        lambda _: {"model": "sim-error"},
        lambda _: {"model": "sim-cut"},
        lambda text: {"temperature": text},
    ]


def _parts(text: str) -> list[dict[str, Any]]:
    file, picture = (b64encode(each).decode() for each in (text.encode() * 9, picture_with(text)))
    return [
        {"type": "input_file", "filename": text, "file_data": f"data:text/plain;base64,{file}"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{picture}"},
    ]


def spoken(served: Served) -> Iterator[Sent]:
    """Two turns over a WebSocket, which remembers the first for the second."""
    head = {"Authorization": f"Bearer {served.api_key}"}
    address = f"ws{served.base_url.removeprefix('http')}/responses"
    with connect(address, additional_headers=head, proxy=None) as socket:
        previous: dict[str, str] = {}
        for _ in range(2):
            sent = {"type": "response.create", "model": ECHO, "store": False, **previous}
            socket.send(json.dumps({**sent, "input": said(text := new_canary())}))
            event = json.loads(socket.recv(30))
            while event["type"] != "response.completed":
                event = json.loads(socket.recv(30))
            previous = {"previous_response_id": event["response"]["id"]}
            yield Sent("", {}, text)


def called(served: Served) -> Sent:
    """A tool of a remote server is called with it, and says it again."""
    key = served.cli("key", "create", "--scopes", "generate,tools:remote")["api_key"]
    text = new_canary()
    with servers.real() as remote, client_of(served, key) as client:
        tool: Any = {
            "type": "mcp",
            "server_label": "thing",
            "server_url": remote.url,
            "require_approval": "never",
        }
        words = f'[[sim call=thing__delete args={{"name":"{text}"}}]]'
        made = client.responses.create(model="sim-tool", input=words, tools=[tool], store=False)
        assert remote.calls == [("delete", {"name": text})]
        assert made.status == "completed"
    return Sent("", {}, text)


def client_of(served: Served, key: str = "") -> openai.OpenAI:
    return openai.OpenAI(
        base_url=served.base_url, api_key=key or served.api_key, max_retries=0, timeout=30
    )


def test_what_is_not_to_be_stored_is_left_nowhere(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a project that keeps what it may."""
    for name, value in TOOLS.items():
        monkeypatch.setenv(name, value)
    sent = list(unstored())
    with place.serving() as served:
        answered = [ask(served, each) for each in sent]
        assert {0, 200, 400, 404, 502} <= {status for status, _ in answered}
        sent += [*spoken(served), called(served)]
        with client_of(served) as client:
            talk = client.conversations.create().id
            text = new_canary()
            client.responses.create(model=ECHO, input=text, conversation=talk, store=False)
            sent.append(Sent("", {}, text))
            assert client.conversations.items.list(talk).data == []
        eventually(place.finished)
        assert place.hits(sent) == {}
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
    assert place.hits(sent) == {}


# -- what was stored, and is deleted -----------------------------------------------------------


def test_what_is_deleted_is_left_nowhere(tmp_path: Path) -> None:
    """Of PostgreSQL see tests/background/test_gone.py."""
    place = Place(tmp_path, None, "")
    names = [new_canary() for _ in range(8)]
    sent = [Sent("", {}, each) for each in names]
    with place.serving() as served, client_of(served) as client:
        served.cli("webhook", "create", "https://hooks.example/ended")
        undo = [*answered(client, *names[:3]), *held(client, *names[3:5])]
        undo += [*sent_to_stay(client, *names[5:7]), *in_batches(client, names[7])]
        eventually(place.finished)
        eventually(lambda: told(place) >= {"response.completed", "batch.completed"})
        assert set().union(*place.hits(sent).values()) == set(names), "the search finds it"
        for each in undo:
            each()
        files = {name.partition("/")[0] for name in place.hits(sent)}
        assert files <= {"portico.db", "portico.db-wal"}, "bytes of files are gone at once"
        served.stop()
    with place.serving() as again:  # a batch of messages goes in pieces, with the next sweep
        eventually(lambda: rows(place, "SELECT count(*) FROM batch_line") == [(2,)])
        again.stop()
    assert place.hits(sent) == {}


def rows(place: Place, sql: str) -> list[Any]:
    database = connect_database(place.data)
    return database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(sql)])


def told(place: Place) -> set[str]:
    """Kinds of what is sent to webhooks."""
    return {kind for (kind,) in rows(place, "SELECT kind FROM alert")}


Undo = Iterator[Callable[[], object]]
"""How each thing that was made is deleted."""


def answered(client: openai.OpenAI, whole: str, streamed: str, unseen: str) -> Undo:
    make, delete = client.responses.create, client.responses.delete
    ids = [make(model=ECHO, input=said(whole), metadata={"note": whole}).id]
    for text, more in ((streamed, {}), (unseen, {"background": True})):
        stream: Any = make(model=ECHO, input=said(text), stream=True, **more)
        ids.append([each.response.id for each in stream if hasattr(each, "response")][-1])
    for each in ids:
        yield partial(delete, each)


def held(client: openai.OpenAI, talk: str, item: str) -> Undo:
    """What is said in a conversation is an answer, too, which is kept by itself."""
    made = client.conversations.create(metadata={"note": talk})
    told = client.responses.create(model=ECHO, input=said(talk), conversation=made.id)
    message: Any = {"type": "message", "role": "user", "content": said(item)}
    one = client.conversations.items.create(made.id, items=[message]).data[0]
    yield partial(client.conversations.items.delete, one.id or "", conversation_id=made.id)
    yield partial(client.conversations.delete, made.id)
    yield partial(client.responses.delete, told.id)


def sent_to_stay(client: openai.OpenAI, file: str, part: str) -> Undo:
    kept = client.files.create(file=(file, file.encode() * 9), purpose="user_data")
    upload = client.uploads.create(
        bytes=999, filename="u", mime_type="text/plain", purpose="user_data"
    )
    client.uploads.parts.create(upload.id, data=part.encode() * 9)
    yield partial(client.files.delete, kept.id)
    yield partial(client.uploads.cancel, upload.id)


def in_batches(client: openai.OpenAI, text: str) -> Undo:
    """Lines, answers and errors."""
    wrong = {**chat(text), "temperature": text}
    lines = "\n".join(
        json.dumps({"custom_id": str(at), "method": "POST", "url": CHAT, "body": body})
        for at, body in enumerate((chat(text), wrong))
    )
    file = client.files.create(file=("in", lines.encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    params = {**chat(text), "max_tokens": 20}
    asked = {"requests": [{"custom_id": "1", "params": params}]}
    messages: Any = client.post("/messages/batches", body=asked, cast_to=dict[str, Any])
    path = f"/messages/batches/{messages['id']}"

    def over() -> bool:
        found: Any = client.get(path, cast_to=dict[str, Any])
        ended = client.batches.retrieve(batch.id).status == "completed"
        return ended and found["processing_status"] == "ended"

    eventually(over)
    batch = client.batches.retrieve(batch.id)
    for file_id in (file.id, batch.output_file_id, batch.error_file_id):
        yield partial(client.files.delete, file_id or "")
    yield partial(client.delete, path, cast_to=dict[str, Any])

"""Files by URL: fetched before the request is read, put inline, and refused where they must be."""

import asyncio
import base64
import json
from typing import Any

import pytest

from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.parse import parse
from portico.door.dispatch import Dispatch
from portico.door.intake.files import Files
from portico.door.intake.media import LINKS_MAX, Media
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving, Left
from portico.media.model import Limits
from portico.media.service import Decoders
from tests.dialects.openai_chat.bodies import PNG
from tests.door.rooms import CALLER, NO_KEYS, Books, Scripted, rooms
from tests.door.scene import Watching, request, serving
from tests.door.test_chat import CHAT, speaks
from tests.kit.test_fetch import Net, answer, outside, saying

pytestmark = pytest.mark.anyio

URL = "http://x.example/a.png"
PDF = b"%PDF-1.7 and so on"
DATA = base64.b64encode(PNG).decode()


def media(net: Net, bytes_max: int = 100_000, **limits: Any) -> Media:
    return Media(net.fetcher(**limits), nobody_looks(), None, bytes_max=bytes_max)


def nobody_looks() -> Files:
    """Nothing is served, so nothing is looked into."""
    return Files(Decoders(Limits()), lambda _, __: (), bytes_max=0)


async def inlined(document: Any, file: bytes = PNG) -> dict[str, Any]:
    async with outside(saying(answer(file))) as net:
        body = await media(net).inline(json.dumps(document).encode(), CALLER, Leaving())
        found: dict[str, Any] = json.loads(body)
        return found


async def refused(document: Any, file: bytes = PNG, **how: Any) -> tuple[Refusal, Net]:
    async with outside(saying(answer(file))) as net:
        with pytest.raises(Refusal) as found:
            await media(net, **how).inline(json.dumps(document).encode(), CALLER, Leaving())
        return found.value, net


def chat(*urls: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    return {"model": "m", "messages": [{"role": "user", "content": parts}]}


async def test_chat() -> None:
    body = await inlined(chat(URL))
    (part,) = body["messages"][0]["content"]
    assert part["image_url"] == {"url": f"data:image/png;base64,{DATA}", "detail": "low"}
    assert parse(json.dumps(body).encode(), {}).needs == {"image"}


async def test_responses() -> None:
    image = {"type": "input_image", "image_url": URL}
    said = {"role": "user", "content": [image]}
    output = {"type": "function_call_output", "call_id": "c", "output": [dict(image)]}
    body = await inlined({"model": "m", "input": [said, output]})
    for place in (body["input"][0]["content"][0], body["input"][1]["output"][0]):
        assert place["image_url"] == f"data:image/png;base64,{DATA}"


async def test_responses_files() -> None:
    part = {"type": "input_file", "file_url": "http://x.example/b/paper.pdf?c=d"}
    body = await inlined({"model": "m", "input": [{"role": "user", "content": [part]}]}, PDF)
    assert body["input"][0]["content"][0] == {
        "type": "input_file",
        "file_data": f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}",
        "filename": "paper.pdf",
    }


async def test_messages() -> None:
    image = {"type": "image", "source": {"type": "url", "url": URL}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    said = [{"role": "user", "content": [dict(image), result]}]
    body = await inlined({"model": "m", "max_tokens": 1, "messages": said})
    source = {"type": "base64", "media_type": "image/png", "data": DATA}
    first, second = body["messages"][0]["content"]
    assert first["source"] == source
    assert second["content"][0]["source"] == source


async def test_messages_documents() -> None:
    part = {"type": "document", "source": {"type": "url", "url": URL}, "title": "x"}
    body = await inlined({"messages": [{"role": "user", "content": [part]}]}, PDF)
    assert body["messages"][0]["content"][0]["source"]["media_type"] == "application/pdf"


@pytest.mark.parametrize("member", ["fileData", "file_data"])
@pytest.mark.parametrize("inner", ["fileUri", "file_uri"])
async def test_gemini(member: str, inner: str) -> None:
    part = {member: {inner: URL, "mimeType": "image/jpeg"}}
    body = await inlined({"contents": [{"role": "user", "parts": [part]}]})
    # What it is, not what it is called.
    assert body["contents"][0]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": DATA}}]


@pytest.mark.parametrize(
    "document",
    [
        chat(f"data:image/png;base64,{DATA}"),
        {"messages": [{"role": "user", "content": "see http://x.example and image_url"}]},
        {"tools": [{"type": "image_url", "image_url": {"url": URL}}], "messages": []},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": URL}}]}]},
        {"messages": [{"content": [{"type": "tool_use", "input": {"url": URL}}]}]},
        {"input": "http://x.example", "image_url": {"url": URL}},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": URL}]}]},
        {"messages": "http", "input": {"image_url": 1}, "contents": [1, None, {"parts": "x"}]},
    ],
)
async def test_what_is_no_file_by_url_is_left_alone(document: Any) -> None:
    async with outside(saying(answer(PNG))) as net:
        body = json.dumps(document).encode()
        assert await media(net).inline(body, CALLER, Leaving()) is body
        assert net.asked == []


async def test_the_rest_of_the_body_stays_as_it_was() -> None:
    more = {"temperature": 0.1, "seed": 2**60, "x": [1.5, None, "é"], "metadata": {"a": "b"}}
    body = await inlined({**chat(URL), **more})
    assert {name: body[name] for name in more} == more


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/a.png", "media_url_not_supported"),
        ("http://169.254.169.254/", "media_url_not_supported"),
        ("http://x.example:22/", "media_url_not_supported"),
    ],
)
async def test_a_url_that_leads_inside_is_refused_without_saying_where(url: str, code: str) -> None:
    refusal, net = await refused(chat(url))
    assert (refusal.status, refusal.code) == (400, code)
    assert refusal.field == "messages[0].content[0].image_url.url"
    assert "not an address" not in refusal.message
    assert net.dialled == []


async def test_what_is_no_image_is_refused() -> None:
    refusal, _ = await refused(chat(URL), b"<html>")
    assert (refusal.status, refusal.code) == (400, "invalid_media")
    refusal, _ = await refused(chat(URL), PDF)
    assert refusal.code == "invalid_media"


async def test_a_file_that_is_not_there() -> None:
    async with outside(saying(answer(b"", status="404 Not Found"))) as net:
        with pytest.raises(Refusal) as found:
            await media(net).inline(json.dumps(chat(URL)).encode(), CALLER, Leaving())
    assert (found.value.status, found.value.code) == (400, "media_url_not_fetched")
    assert "404" in found.value.message


async def test_413_files_that_are_too_large_together() -> None:
    file = PNG + bytes(3_000)
    refusal, net = await refused(chat(URL, URL), file, bytes_max=6_000)
    assert (refusal.status, refusal.code) == (413, "media_too_large")
    assert refusal.field == "messages[0].content[1].image_url.url"
    assert len(net.requests) == 2


async def test_too_many_files() -> None:
    refusal, net = await refused(chat(*[URL] * (LINKS_MAX + 1)))
    assert (refusal.code, refusal.value, refusal.limit) == ("out_of_range", 9, LINKS_MAX)
    assert net.requests == []


async def test_a_client_that_leaves_ends_the_fetch() -> None:
    asked = asyncio.Event()

    async def script(request: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.get_running_loop().create_future()

    async with outside(script) as net:
        leaving = Leaving()
        body = json.dumps(chat(URL)).encode()
        async with asyncio.TaskGroup() as tasks:
            fetching = tasks.create_task(_left(media(net), body, leaving))
            await asked.wait()
            leaving.leave("gone")
        assert fetching.result() == "gone"


async def _left(found: Media, body: bytes, leaving: Leaving) -> str:
    try:
        await found.inline(body, CALLER, leaving)
    except Left:
        return leaving.reason
    return ""


class Untouched(Media):
    """Nobody may ask it to look into anything."""

    async def fit(self, *_: Any) -> Prompt:
        raise AssertionError


async def test_a_request_without_files_pays_one_look_at_nothing() -> None:
    path = "/v1/chat/completions"
    generation = Generation(
        CHAT,
        rooms(Books(), Scripted(speaks)),
        SystemClock(),
        NO_KEYS,
        body_bytes_max=100_000,
        compression=False,
        media=Untouched(None, nobody_looks(), None, bytes_max=0),
    )
    routes = Routes([Route("POST", path, generation.handle, scope="generate")])
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "data:"}]}).encode()
    async with serving(Dispatch(routes, CHAT.render, Watching()).serve) as scene:
        answer = await scene.ask(request(path, body, "Authorization: Bearer pk_good"))
        assert answer.status == 200

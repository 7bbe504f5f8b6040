"""The Messages dialect through the door, with the SDK most callers use."""

import asyncio
import json
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam

from portico import errors
from portico.app.spoken.dialects import spoken
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refused,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.door.dispatch import Dispatch
from portico.door.endpoints import Models
from portico.door.endpoints.models import offered_by
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation
from portico.engines.base import Relay, UpstreamFailed
from portico.errors import Entry
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from tests.door.rooms import NO_KEYS, PLAIN, Books, Script, Scripted, rooms
from tests.door.scene import Scene, Watching, limits, request, serving

pytestmark = pytest.mark.anyio

PATH = "/v1/messages"
KEY = "x-api-key: pk_good"
SPOKEN = spoken(Seal([b"s" * 32]), SystemClock())
MESSAGES = SPOKEN.generating[PATH]
ASKED: list[MessageParam] = [{"role": "user", "content": "Hi"}]
WORDS = ("Hello", " from", " the", " door")


class House:
    """The door with rooms behind it, where Messages are spoken."""

    def __init__(self, script: Script) -> None:
        self.books = Books()
        self.engine = Scripted(script)
        self.rooms = rooms(self.books, self.engine)
        self.watching = Watching()
        generation = Generation(
            MESSAGES, self.rooms, SystemClock(), NO_KEYS, body_bytes_max=100_000, compression=True
        )
        models = Models(
            self.books,
            offered_by(self.rooms.routing, self.rooms.counter),
            SPOKEN.shapes,
            SPOKEN.others,
        )
        routes = Routes(
            [
                Route("POST", PATH, generation.handle, scope="generate"),
                Route("GET", "/v1/models", models.all, scope="generate"),
                Route("GET", "/v1/models/{id}", models.one, scope="generate"),
            ]
        )
        self.dispatch = Dispatch(routes, PLAIN.render, self.watching, None, SPOKEN.others)

    def open(self, **how: Any) -> Any:
        return serving(self.dispatch.serve, watching=self.watching, **how)


def sdk(scene: Scene, key: str = "pk_good", retries: int = 0) -> anthropic.AsyncAnthropic:
    """The base URL is the root: this SDK adds /v1 by itself."""
    return anthropic.AsyncAnthropic(
        base_url=f"http://127.0.0.1:{scene.port}", api_key=key, max_retries=retries
    )


def asking(*headers: str, query: str = "", **asked: Any) -> bytes:
    body = {"model": "m", "max_tokens": 9, "messages": ASKED, **asked}
    return request(PATH + query, json.dumps(body).encode(), KEY, *headers)


def plays(*events: Event, reason: FinishReason = "stop", sequence: str = "") -> Script:
    """One delta per event, a turn of the loop apart, and the end."""

    async def script(prompt: Prompt, relay: Relay) -> None:
        for event in events:
            await relay(Delta(events=(event,), output_tokens=1))
            await asyncio.sleep(0)
        meters = Meters(input_text=3, input_cache_read=2, output_text=len(events))
        end = Finished(reason, sequence=sequence)
        await relay(Delta(events=(end,), meters=meters, last=True, finish=reason))

    return script


SPEAKS = plays(*map(Text, WORDS))
CALLS = (ToolCallBegan(0, "call_1", "f"), ToolArguments(0, '{"a":'), ToolArguments(0, "1}"))


def refuses(refusal: errors.Refusal) -> Script:
    async def script(prompt: Prompt, relay: Relay) -> None:
        raise UpstreamFailed(refusal)

    return script


async def test_the_sdk_reads_an_answer() -> None:
    house = House(SPEAKS)
    async with house.open() as scene, sdk(scene) as client:
        message = await client.messages.create(model="m", max_tokens=9, messages=ASKED)
        (block,) = message.content
        assert block.type == "text"
        assert block.text == "".join(WORDS)
        assert (message.stop_reason, message.usage.input_tokens) == ("end_turn", 3)
        assert message.usage.cache_read_input_tokens == 2
        assert message._request_id == house.books.opened[0]
        assert message.id == "msg_" + house.books.opened[0].removeprefix("req_")


async def test_the_request_is_named_in_this_dialects_way_only() -> None:
    async with House(SPEAKS).open() as scene:
        for stream in (True, False):
            answer = await scene.ask(asking(stream=stream))
            assert answer.headers["request-id"].startswith("req_")
            assert not {"x-request-id", "openai-processing-ms"} & set(answer.headers)


async def test_the_sdk_reads_a_stream_to_its_end() -> None:
    house = House(SPEAKS)
    async with (
        house.open() as scene,
        sdk(scene) as client,
        client.messages.stream(model="m", max_tokens=9, messages=ASKED) as stream,
    ):
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
        assert text == "".join(WORDS)
        assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", len(WORDS))
        assert message.usage.input_tokens == 3
        assert house.books.settled[0][0] == "completed"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (plays(Text("a")), "end_turn"),
        (plays(Text("a"), reason="length"), "max_tokens"),
        (plays(Text("a"), reason="stop_sequence", sequence="END"), "stop_sequence"),
        (plays(*CALLS), "tool_use"),
        (plays(Text("a"), reason="paused"), "pause_turn"),
        (plays(Refused("No.")), "refusal"),
        (plays(Text("a"), reason="content_filter"), "refusal"),
        (plays(Text("a"), reason="context"), "model_context_window_exceeded"),
    ],
)
async def test_every_stop_reason_reaches_the_sdk(script: Script, expected: str) -> None:
    async with House(script).open() as scene, sdk(scene) as client:
        whole = await client.messages.create(model="m", max_tokens=9, messages=ASKED)
        async with client.messages.stream(model="m", max_tokens=9, messages=ASKED) as stream:
            streamed = await stream.get_final_message()
        assert whole.stop_reason == streamed.stop_reason == expected
        assert whole.stop_sequence == streamed.stop_sequence
        same = [block.to_dict() for block in whole.content]
        assert same == [block.to_dict() for block in streamed.content]
        assert (whole.stop_sequence == "END") is (expected == "stop_sequence")


async def test_thinking_goes_round_and_comes_back() -> None:
    house = House(plays(Reasoning("Hm"), Reasoning("."), Text("a")))
    thinking: Any = {"type": "adaptive", "display": "omitted"}
    async with house.open() as scene, sdk(scene) as client:
        first = await client.messages.create(
            model="m", max_tokens=9, messages=ASKED, thinking=thinking
        )
        seen, _ = first.content
        assert seen.type == "thinking"
        assert (seen.thinking, seen.signature[:4]) == ("", "pt1.")
        await client.messages.create(
            model="m",
            max_tokens=9,
            messages=[*ASKED, first.to_param(), {"role": "user", "content": "And?"}],
            thinking=thinking,
        )
    _, asked = house.engine.asked
    thought = asked.conversation().items[1]
    assert (getattr(thought, "text", ""), getattr(thought, "issuer", "")) == ("Hm.", "portico")


async def test_the_sdk_raises_on_a_stream_that_breaks_off() -> None:
    async def breaks(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(events=(Text("Hello"),), output_tokens=1))
        raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over."))

    async with House(breaks).open() as scene, sdk(scene) as client:
        with pytest.raises(anthropic.APIStatusError, match="fell over") as caught:
            async with client.messages.stream(model="m", max_tokens=9, messages=ASKED) as stream:
                await stream.until_done()
        assert caught.value.type == "api_error"


async def test_a_silent_stream_is_pinged_with_this_dialects_ping() -> None:
    go = asyncio.Event()

    async def thinks(prompt: Prompt, relay: Relay) -> None:
        await go.wait()
        await SPEAKS(prompt, relay)

    async with House(thinks).open(limits=limits(ping_s=0.04)) as scene:
        wire = await scene.connect()
        await wire.send(asking(stream=True))
        before = await wire.read_until(b'event: ping\ndata: {"type": "ping"}\n\n')
        assert before.count(b"event: message_start") == 1
        go.set()
        after = await wire.read_until(b"event: message_stop")
        assert b"event: message_start" not in after


@pytest.mark.parametrize(
    ("entry", "status", "kind"),
    [
        (errors.OVERLOADED, 529, anthropic.InternalServerError),
        (errors.UPSTREAM_BUSY, 529, anthropic.InternalServerError),
        (errors.CREDIT_EXHAUSTED, 402, anthropic.APIStatusError),
        (errors.CONCURRENCY, 429, anthropic.RateLimitError),
        (errors.ENGINE_UNAVAILABLE, 503, anthropic.InternalServerError),
        (errors.UPSTREAM_TIMEOUT, 504, anthropic.InternalServerError),
        (errors.DATA_USE, 403, anthropic.PermissionDeniedError),
    ],
    ids=str,
)
async def test_a_refusal_has_this_dialects_status(
    entry: Entry, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    house = House(refuses(entry("Not now.")))
    async with house.open() as scene, sdk(scene) as client:
        with pytest.raises(kind) as caught:
            await client.messages.create(model="m", max_tokens=9, messages=ASKED)
    assert caught.value.status_code == status
    assert caught.value.request_id == house.books.opened[0]
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["request_id"] == house.books.opened[0]
    assert house.watching.answered_ == [(PATH, status)]


@pytest.mark.parametrize(
    ("entry", "tries"),
    [(errors.OVERLOADED, 3), (errors.CREDIT_EXHAUSTED, 1), (errors.UPSTREAM_FAILED, 3)],
    ids=str,
)
async def test_the_sdk_tries_again_only_where_that_helps(entry: Entry, tries: int) -> None:
    house = House(refuses(entry("Not now.", retry_after_ms=1)))
    async with house.open() as scene, sdk(scene, retries=2) as client:
        with pytest.raises(anthropic.APIStatusError):
            await client.messages.create(model="m", max_tokens=9, messages=ASKED)
    assert len(house.engine.asked) == tries


async def test_refusals_are_this_dialects_wherever_they_come_from() -> None:
    async with House(SPEAKS).open() as scene:
        bad_key = request(PATH, b"{}", "x-api-key: pk_other")
        for sent, status, kind in (
            (bad_key, 401, "authentication_error"),
            (asking(model="other"), 404, "not_found_error"),
            (asking(max_tokens=0), 400, "invalid_request_error"),
            (asking(padding="x" * 100_000), 413, "request_too_large"),
            (request(PATH, method="GET"), 405, "invalid_request_error"),
            (request("/v1/messages/nowhere"), 404, "not_found_error"),
            (request("/v1/models", b"", "anthropic-version: 1", method="GET"), 401, "authentic"),
        ):
            answer = await scene.ask(sent)
            assert answer.status == status
            assert answer.json["type"] == "error"
            assert answer.json["error"]["type"].startswith(kind)
            assert answer.json["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/messages"])
async def test_a_wrong_base_url_is_told_what_to_change(path: str) -> None:
    async with House(SPEAKS).open() as scene:
        answer = await scene.ask(request(path, b"{}", KEY))
        assert answer.status == 404
        error = answer.json["error"]
        assert error["type"] == "not_found_error"
        assert "Did you mean /v1/messages?" in error["message"]
        assert "which ends without it" in error["message"]


async def test_any_version_any_beta_and_any_query_is_taken() -> None:
    async with House(SPEAKS).open() as scene:
        for headers in ((), ("anthropic-version: 2099-01-01", "anthropic-beta: x,y")):
            answer = await scene.ask(asking(*headers, query="?beta=true&x=1"))
            assert answer.status == 200


async def test_models_are_shown_in_the_shape_of_whoever_asks() -> None:
    async with House(SPEAKS).open() as scene:
        mine = "Authorization: Bearer pk_good"
        version = "anthropic-version: 2023-06-01"
        theirs = await scene.ask(request("/v1/models", b"", mine, version, method="GET"))
        assert set(theirs.json) == {"data", "has_more", "first_id", "last_id"}
        assert theirs.headers["request-id"].startswith("req_")
        ours = await scene.ask(request("/v1/models", b"", mine, method="GET"))
        assert set(ours.json) == {"object", "data"}
        assert ours.headers["x-request-id"].startswith("req_")
        async with sdk(scene) as client:
            assert [model.id async for model in client.models.list()] == ["m"]
            assert (await client.models.retrieve("m")).display_name == "m"
            with pytest.raises(anthropic.NotFoundError):
                await client.models.retrieve("none")
            with pytest.raises(anthropic.BadRequestError):
                await client.models.list(limit=0)

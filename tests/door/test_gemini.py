"""Gemini's dialect through the door, with Google's SDK, and what is under the SDK."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from google import genai
from google.genai import errors as sdk_errors
from google.genai import types

from portico import errors
from portico.app.spoken.gemini import ROOTS, gemini, generating
from portico.canon.delta import Delta, Finished, Text
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.dialects.gemini.contents.signatures import Signatures
from portico.door.dispatch import Dispatch
from portico.door.endpoints import Models
from portico.door.endpoints.gemini_models import GeminiShape
from portico.door.endpoints.models import offered_by
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation
from portico.engines.base import Relay, UpstreamFailed
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.routing.model import Deployment
from tests.dialects.gemini.streams import check, events
from tests.door.rooms import NO_KEYS, Books, Entry, Script, Scripted
from tests.door.scene import Scene, limits, request
from tests.door.test_generation import KEY, House

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

WORDS = ("Hello", " from", " the", " door")
ASKED = b'{"contents":[{"parts":[{"text":"Hi"}]}]}'
STREAM = "/v1beta/models/m:streamGenerateContent"


SIGNATURES = Signatures(Seal([b"s" * 32]))
GEMINI = gemini(SIGNATURES)


class GeminiHouse(House):
    """The door with Gemini's routes alone."""

    def __init__(self, script: Script, books: Books | None = None) -> None:
        super().__init__(script, books, GEMINI)
        models = Models(
            self.books,
            offered_by(self.rooms.routing, self.rooms.counter),
            {"gemini": GeminiShape()},
        )
        routes = [
            Route(
                "POST",
                path,
                Generation(
                    dialect,
                    self.rooms,
                    SystemClock(),
                    NO_KEYS,
                    body_bytes_max=100_000,
                    compression=True,
                ).handle,
                scope="generate",
            )
            for path, dialect in generating(SIGNATURES).items()
        ]
        routes += [Route("GET", f"{root}/models", models.all, scope="generate") for root in ROOTS]
        self.dispatch = Dispatch(Routes(routes), GEMINI.render, self.watching)


class Charged(Books):
    """Every answer costs something."""

    def open(self, arrival: Any, caller: Any, prompt: Prompt, permit: Any) -> Entry:
        entry = super().open(arrival, caller, prompt, permit)
        entry.settled = SimpleNamespace(charged_nano=5)  # type: ignore[assignment] # all that is read of it
        return entry


async def speaks(prompt: Prompt, relay: Relay) -> None:
    for word in WORDS:
        await relay(Delta(events=(Text(word),), output_tokens=1))
        await asyncio.sleep(0)
    meters = Meters(input_text=3, output_text=4)
    await relay(Delta(events=(Finished("stop"),), meters=meters, last=True, finish="stop"))


def sdk(scene: Scene, key: str = "pk_good") -> Any:
    url = f"http://127.0.0.1:{scene.port}"
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url)).aio


def asking(path: str = STREAM) -> bytes:
    return request(path, ASKED, KEY)


@pytest.mark.parametrize("books", [Books, Charged])
async def test_the_sdk_reads_answers_and_streams_whether_they_cost_or_not(
    books: type[Books],
) -> None:
    """It breaks off at a comment, so what an answer cost cannot be told in one."""
    house = GeminiHouse(speaks, books())
    async with house.open() as scene, sdk(scene) as client:
        answer = await client.models.generate_content(model="m", contents="Hi")
        assert answer.text == "".join(WORDS)
        assert answer.response_id == house.books.opened[0]
        stream = await client.models.generate_content_stream(model="m", contents="Hi")
        chunks = [chunk async for chunk in stream]
        assert [chunk.text for chunk in chunks] == [*WORDS, ""]
        assert chunks[-1].usage_metadata.total_token_count == 7
        assert [outcome for outcome, _ in house.books.settled] == ["completed"] * 2


async def test_what_a_whole_answer_cost_is_told_in_its_head() -> None:
    async with GeminiHouse(speaks, Charged()).open() as scene:
        answer = await scene.ask(asking("/v1/models/m:generateContent"))
        assert answer.headers["portico-cost-nano-usd"] == "5"


async def test_a_silent_stream_says_a_blank_line_which_the_sdk_lets_pass() -> None:
    async def thinks(prompt: Prompt, relay: Relay) -> None:
        await go.wait()
        await speaks(prompt, relay)

    go = asyncio.Event()
    async with GeminiHouse(thinks).open(limits=limits(ping_s=0.04)) as scene:
        wire = await scene.connect()
        await wire.send(asking(f"{STREAM}?alt=sse"))
        await wire.read_until(b"\r\n\r\n1\r\n\n\r\n")
        await wire.read_until(b"1\r\n\n\r\n")
        async with sdk(scene) as client:
            reading = client.models.generate_content_stream(model="m", contents="Hi")
            asyncio.get_running_loop().call_later(0.2, go.set)
            assert [chunk.text async for chunk in await reading] == [*WORDS, ""]


async def test_a_silent_array_says_nothing() -> None:
    async def thinks(prompt: Prompt, relay: Relay) -> None:
        asyncio.get_running_loop().call_later(0.2, go.set)  # five pings long
        await go.wait()
        await speaks(prompt, relay)

    go = asyncio.Event()
    async with GeminiHouse(thinks).open(limits=limits(ping_s=0.04)) as scene:
        answer = await scene.ask(asking())
        assert answer.body.startswith(b"[{")
        check(json.loads(answer.body))


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over.")), 502, "UNAVAILABLE"),
        (ValueError("a bug"), 500, "INTERNAL"),
    ],
)
async def test_a_stream_of_either_kind_ends_in_the_error_and_is_whole(
    fault: Exception, code: int, status: str
) -> None:
    async def breaks(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(events=(Text("Hello"),), output_tokens=1))
        raise fault

    async with GeminiHouse(breaks).open() as scene:
        array = await scene.ask(asking())
        streamed = await scene.ask(asking(f"{STREAM}?alt=sse"))
        for said, broken in (json.loads(array.body), events(streamed.body)):
            assert said["candidates"][0]["content"]["parts"] == [{"text": "Hello"}]
            assert (broken["error"]["code"], broken["error"]["status"]) == (code, status)
        async with sdk(scene) as client:
            stream = await client.models.generate_content_stream(model="m", contents="Hi")
            await anext(stream)
            with pytest.raises(sdk_errors.ServerError) as raised:
                await anext(stream)
            assert (raised.value.code, raised.value.status) == (code, status)


async def test_labels_of_figures_are_names_of_routes() -> None:
    house = GeminiHouse(speaks)
    async with house.open() as scene:
        await scene.ask(asking("/v1/models/m:generateContent"))
        await scene.ask(asking("/v1/models/other:generateContent"))
        await scene.ask(asking("/v1/models/m:other"))
    assert house.watching.answered_ == [
        ("/v1/models/{id}:generateContent", 200),
        ("/v1/models/{id}:generateContent", 404),
        ("unknown", 404),
    ]


def test_pages_of_models_make_the_whole_list() -> None:
    shape = GeminiShape()
    names = [f"m/{at}:é" for at in range(7)]
    ways = [Deployment("test/m", "m", Scripted(speaks), "us", 0)]
    models = [shape.one(name, ways) for name in names]
    for size in range(1, 9):
        seen, query = [], f"pageSize={size}"
        while query:
            page = shape.all(models, query.encode())
            assert len(page["models"]) <= size
            seen += [model["name"] for model in page["models"]]
            token = page.get("nextPageToken")
            query = f"pageSize={size}&pageToken={token}" if token else ""
        assert seen == [f"models/{name}" for name in names]
    assert len(shape.all(models, b"pageSize=0")["models"]) == 7
    assert len(shape.all(models, b"pageSize=99999999999999999999")["models"]) == 7


@pytest.mark.parametrize(
    "query", [b"pageSize=-1", b"pageSize=x", b"pageToken=eHg", b"pageToken=%C3"]
)
def test_a_page_that_is_none(query: bytes) -> None:
    models = [GeminiShape().one("m", [Deployment("test/m", "m", Scripted(speaks), "us", 0)])]
    with pytest.raises(errors.Refusal) as refused:
        GeminiShape().all(models, query)
    assert refused.value.code == "invalid_value"

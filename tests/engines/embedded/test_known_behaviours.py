"""What the llama.cpp server is known to do, and what the adapter makes of it.

Each test speaks to the real engine.  Those named `..._still_...` go around the adapter: when one
fails, the engine has learnt better and a workaround can go.
"""

import asyncio
import contextlib
import http.client
import json
import socket

import pytest
from msgspec.structs import replace

from engines.openai_compatible.prompts import HELLO, Heard, prompt_of
from portico.canon.conversation import Conversation, Message, TextPart
from portico.canon.delta import Finished, Text
from portico.errors import Refusal

from .conftest import CONTEXT, PARALLEL

pytestmark = pytest.mark.anyio

WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {field: {"type": "string"}},
                "required": [field],
            },
        },
    }
    for name, field in (("get_weather", "city"), ("get_time", "zone"))
]
NAMED = {"type": "function", "function": {"name": "get_time"}}
ON_AND_ON = {"ignore_eos": True, "temperature": 0}


def chunks(raw: bytes) -> list[dict]:
    return [
        json.loads(line[6:])
        for line in raw.split(b"\n\n")
        if line.startswith(b"data: ") and line != b"data: [DONE]"
    ]


def text_of(raw: bytes) -> str:
    deltas = (c["choices"][0]["delta"] for c in chunks(raw) if c["choices"])
    return "".join(delta.get("content") or "" for delta in deltas)


def called(raw: bytes) -> tuple[str, str]:
    """Name and arguments of the tool call in a streamed or a whole answer."""
    name, arguments = "", ""
    whole = [json.loads(raw)] if raw.startswith(b"{") else chunks(raw)
    for piece in whole:
        for choice in piece["choices"]:
            said = choice.get("delta") or choice.get("message") or {}
            for call in said.get("tool_calls") or ():
                name += call["function"].get("name") or ""
                arguments += call["function"]["arguments"]
    return name, arguments


# --- 1: connections ----------------------------------------------------------------------------


async def test_it_still_closes_a_connection_it_promised_to_keep(llama):
    connection = http.client.HTTPConnection(llama.origin.host, llama.origin.port, timeout=10)
    with contextlib.closing(connection):
        body = json.dumps({"messages": HELLO, "max_tokens": 1, "stream": True})
        connection.request("POST", llama.chat_target, body, dict(_text(llama.headers)))
        answer = connection.getresponse()
        assert answer.getheader("Keep-Alive")
        answer.read()
        kept = connection.sock
        assert kept is not None
        kept.settimeout(10)
        assert kept.recv(1) == b""


def _text(headers):
    return [(name.decode(), value.decode()) for name, value in headers]


# --- 2 and 3: tools ----------------------------------------------------------------------------


async def test_it_still_ignores_a_named_tool_choice(real):
    body = {"messages": WEATHER, "tools": TOOLS, "tool_choice": NAMED, "temperature": 0}
    status, answer = await real.ask("/v1/chat/completions", body)
    assert status == 200
    assert called(answer)[0] == "get_weather"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_named_tool_is_the_one_called(real, stream):
    heard = await real.generate(
        prompt_of(messages=WEATHER, tools=TOOLS, tool_choice=NAMED, temperature=0, stream=stream)
    )
    name, arguments = called(heard.written)
    assert name == "get_time"
    assert "zone" in json.loads(arguments)
    assert heard.deltas[-1].finish == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
async def test_arguments_cut_off_are_reported_as_length(real, stream):
    heard = await real.generate(
        prompt_of(
            messages=WEATHER,
            tools=TOOLS,
            tool_choice="required",
            temperature=0,
            max_tokens=16,
            stream=stream,
        )
    )
    _, arguments = called(heard.written)
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)
    assert heard.deltas[-1].finish == "length"
    assert heard.meters.output_tokens == 16


# --- 4: refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_too_long_is_refused_with_its_numbers(real, stream):
    messages = [{"role": "user", "content": "word " * 4_000}]
    with pytest.raises(Refusal) as refused:
        await real.generate(prompt_of(messages=messages, stream=stream))
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.limit == CONTEXT
    assert refused.value.value > CONTEXT


@pytest.mark.parametrize("stream", [False, True])
async def test_a_schema_it_cannot_use_is_the_callers(real, stream):
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "bogus"}}}
    with pytest.raises(Refusal) as refused:
        await real.generate(
            prompt_of(frozenset({"json_schema"}), response_format=form, stream=stream)
        )
    assert (refused.value.code, refused.value.field) == ("invalid_json_schema", "response_format")


async def test_it_still_takes_what_must_be_refused_before_it(real):
    body = {"messages": [{"role": "wizard", "content": "x"}], "temperature": -5, "max_tokens": 1}
    status, _ = await real.ask("/v1/chat/completions", {**body, "model": "no such model"})
    assert status == 200


# --- 5: media ----------------------------------------------------------------------------------


async def test_a_url_in_a_message_is_never_fetched(real):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/secret.png"
        part = {"type": "image_url", "image_url": {"url": url}}
        asked = prompt_of(frozenset({"image"}), messages=[{"role": "user", "content": [part]}])
        with pytest.raises(Refusal) as refused:
            await real.generate(asked)
        assert refused.value.code == "media_url_not_supported"
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(listener.accept)


# --- 8: slots ----------------------------------------------------------------------------------


async def test_as_many_requests_as_it_has_slots_are_let_in(real):
    abilities = real.engine.abilities
    assert abilities.concurrency_max == PARALLEL
    assert abilities.context_tokens == CONTEXT
    assert {"tools", "json_schema", "logprobs", "choices"} == abilities.features


async def test_every_slot_has_its_whole_context(real):
    """All at once, each nearly full: none takes the room of another."""
    messages = [{"role": "user", "content": "word " * 850}]
    asked = [
        prompt_of(messages=messages, max_tokens=40, stream=True, **ON_AND_ON)
        for _ in range(PARALLEL)
    ]
    for heard in await asyncio.gather(*(real.generate(prompt) for prompt in asked)):
        assert heard.meters.output_tokens == 40
        assert heard.meters.input_tokens > CONTEXT * 0.75


# --- 9: defaults -------------------------------------------------------------------------------


async def test_without_the_key_it_answers_nothing_of_use(real, llama):
    for headers in ([], [(b"Authorization", b"Bearer x")]):
        for path in ("/v1/models", "/slots", "/metrics", "/props"):
            real.server = type(llama)(llama.origin, "", headers)
            status, _ = await real.ask(path)
            assert status == 401, path


async def test_it_has_no_page_no_cors_and_takes_no_settings(real):
    assert (await real.ask("/"))[0] in (401, 404)
    real.server.headers.append((b"Origin", b"http://evil.example"))
    try:
        answer = await real.send("GET", "/v1/models")
        answer.close()
        allowed = dict(answer.headers).get(b"access-control-allow-origin", b"")
    finally:
        real.server.headers.pop()
    assert allowed == b""
    assert (await real.ask("/props", {"chat_template": "x"}))[0] >= 400
    assert (await real.ask("/slots/0?action=save", {"filename": "x"}))[0] >= 400


# --- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_of_all_choices_are_counted_once_the_prompt_too(real, stream):
    one = await real.generate(prompt_of(max_tokens=5, **ON_AND_ON))
    heard = await real.generate(prompt_of(n=3, max_tokens=5, stream=stream, **ON_AND_ON))
    assert heard.meters.output_tokens == 15
    assert heard.meters.input_tokens == one.meters.input_tokens


async def test_it_still_counts_only_the_first_choice_of_a_whole_answer(real):
    body = {"messages": HELLO, "n": 3, "max_tokens": 5, "ignore_eos": True}
    _, answer = await real.ask("/v1/chat/completions", body)
    assert json.loads(answer)["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_made_until_a_hang_up_is_counted_to_the_token(real, stream):
    """A second run, allowed exactly as many tokens as were metered, gives the same text."""
    asked = {"max_tokens": 1_500, **ON_AND_ON}
    prompt = prompt_of(stream=stream, **asked)
    heard, enough = Heard(prompt), asyncio.Event()

    async def relay(delta):
        await heard.relay(delta)
        if len(heard.deltas) > 20:
            enough.set()
            await asyncio.sleep(3_600)  # a client that no longer reads

    task = asyncio.create_task(real.engine.generate(prompt, relay))
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    metered = heard.meters.output_tokens
    assert 20 <= metered < 1_500
    again = await real.generate(prompt_of(**{**asked, "max_tokens": metered}))
    whole = json.loads(again.written)["choices"][0]["message"]["content"]
    assert whole == (text_of(heard.written) or text_in_events(heard))


def text_in_events(heard) -> str:
    events = (event for delta in heard.deltas for event in delta.events)
    return "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize(
    ("stop", "ended"),
    [
        (("never said", " is"), Finished("stop_sequence", sequence=" is")),
        (("never said",), Finished("length")),
    ],
)
async def test_it_tells_which_stop_sequence_it_met(real, stop, ended):
    asked = Conversation((Message("user", (TextPart("What is Portico?"),)),), stop=stop)
    prompt = replace(
        prompt_of(),
        dialect="anthropic_messages",
        output_tokens_max=8,
        conversation=lambda: asked,
    )
    found = await real.generate(prompt)
    assert [event for delta in found.deltas for event in delta.events][-1] == ended


async def test_a_cancelled_answer_stops_the_engine(real):
    started, allowed = asyncio.Event(), 1_500

    async def relay(_delta):
        started.set()

    before = await made(real)
    asked = prompt_of(stream=True, max_tokens=allowed, **ON_AND_ON)
    task = asyncio.create_task(real.engine.generate(asked, relay))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while not await real.is_idle():
            pass
    assert await made(real) - before < allowed


async def made(real) -> float:
    """Tokens the engine says it has made since it started."""
    _, metrics = await real.ask("/metrics")
    name = b"llamacpp:tokens_predicted_total "
    return next(
        float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name)
    )


async def test_no_caller_learns_what_another_has_sent(real):
    """The same long prompt again and again, with every wish a caller may have."""
    messages = [{"role": "user", "content": "a secret of another tenant " * 20}]
    for wish in ({}, {"cache_prompt": True}, {"cache_prompt": True, "id_slot": 0}):
        for stream in (False, True):
            heard = await real.generate(
                prompt_of(messages=messages, max_tokens=1, stream=stream, **wish)
            )
            assert heard.meters.input_cache_read == 0
            assert heard.meters.input_tokens > 100


async def test_its_cache_still_has_no_tenants(real):
    body = {"messages": [{"role": "user", "content": "shared " * 50}], "max_tokens": 1}
    for _ in range(2):
        _, answer = await real.ask("/v1/chat/completions", {**body, "cache_prompt": True})
    assert json.loads(answer)["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


async def test_tokens_are_counted_by_the_models_own_template(real) -> None:
    prompt = prompt_of(tools=TOOLS, max_tokens=1, temperature=0)
    heard = await real.generate(prompt)
    assert await real.engine.count(prompt) == heard.meters.input_tokens

"""Completions at a server: its own route where it has one, Chat where it has not."""

import json

import pytest

from engines.transport.upstream import sized
from portico.canon.delta import Finished, Text
from portico.canon.usage import Meters
from portico.dialects.openai_completions.parse import parse
from portico.dialects.openai_completions.writer import writer_for
from portico.errors import Refusal

from .test_probe import EVENTS, JSON

pytestmark = pytest.mark.anyio

USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
WHOLE = {"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}], "usage": USAGE}


def prompt_of(**fields):
    return parse(json.dumps({"model": "public", "prompt": "a", **fields}).encode(), {})


def sse(*payloads):
    return b"".join(b"data: " + p + b"\n\n" for p in payloads) + b"data: [DONE]\n\n"


def chunk(text, reason=None, index=0, **more):
    choice = {"index": index, "text": text, "finish_reason": reason, "logprobs": None}
    return json.dumps({"object": "text_completion", "choices": [choice], **more}).encode()


def chat_stream(text):
    def one(delta, reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})

    told = json.dumps({"id": "c", "choices": [], "usage": USAGE})
    said = [one({"role": "assistant", "content": text}), one({}, "stop"), told]
    return sse(*(each.encode() for each in said))


def speaking(seen, answers):
    """By path: a list of bodies, one for each request; 404 where there is none."""

    async def script(peer):
        request = await peer.request()
        path = request.line.split(b" ")[1].decode()
        seen.append((path, json.loads(request.body)))
        if not answers.get(path):
            await peer.send(sized(b"{}", status=b"404 Not Found"))
            return
        body = answers[path].pop(0)
        kind = EVENTS if body.startswith(b"data:") else JSON
        await peer.send(sized(body, fields=kind))

    return script


async def told(engine, prompt):
    """The deltas, and what the caller reads of them."""
    writer, deltas, wire = writer_for(prompt, "req_1", 0), [], b""

    async def relay(delta):
        nonlocal wire
        deltas.append(delta)
        wire += writer.write(delta)

    await engine.generate(prompt, relay)
    assert [delta.last for delta in deltas].count(True) == 1
    return deltas, wire


async def test_a_whole_answer_passes_through(bench):
    seen = []
    engine = await bench.engine(speaking(seen, {"/v1/completions": [json.dumps(WHOLE).encode()]}))
    deltas, wire = await told(engine, prompt_of(best_of=1, guided_regex="x"))
    ((path, body),) = seen
    assert path == "/v1/completions"
    assert body == {
        "model": "gpt",
        "prompt": "a",
        "best_of": 1,
        "guided_regex": "x",
        "max_tokens": 16,
    }
    assert json.loads(wire) == WHOLE
    assert deltas[-1].meters == Meters(input_text=2, output_text=3)


async def test_a_stream_passes_through_and_usage_is_always_asked_for(bench):
    seen = []
    usage = json.dumps({"choices": [], "usage": USAGE}).encode()
    stream = sse(chunk("b"), chunk("", "length"), usage)
    engine = await bench.engine(speaking(seen, {"/v1/completions": [stream]}), kind="vllm")
    deltas, wire = await told(engine, prompt_of(stream=True, prompt=[[1, 2], [3]]))
    assert seen[0][1]["stream_options"] == {"include_usage": True}
    assert seen[0][1]["prompt"] == [[1, 2], [3]]
    assert wire == sse(chunk("b"), chunk("", "length"))
    assert deltas[-1].meters == Meters(input_text=2, output_text=3)


@pytest.mark.parametrize("field", ["max_completion_tokens", "tool_choice"])
async def test_a_field_of_chat_cannot_lift_the_limit(bench, field):
    seen = []
    engine = await bench.engine(speaking(seen, {"/v1/completions": [json.dumps(WHOLE).encode()]}))
    await told(engine, prompt_of(max_tokens=4, **{field: {"allowed_tools": {}}}))
    assert seen[0][1]["max_tokens"] == 4
    assert field not in seen[0][1]


async def test_a_server_without_the_route_is_told_a_users_message_and_remembered(bench):
    seen = []
    answers = {"/v1/chat/completions": [chat_stream("b"), chat_stream("c")]}
    engine = await bench.engine(speaking(seen, answers))
    prompt = prompt_of(max_tokens=5)
    _, wire = await told(engine, prompt)
    assert json.loads(wire)["choices"][0]["text"] == "b"
    assert prompt.warnings == ['mapped; field="prompt"; action=mapped']
    assert seen[1][1]["messages"] == [{"role": "user", "content": "a"}]
    assert seen[1][1]["max_completion_tokens"] == 5
    await told(engine, prompt_of())
    paths = [path for path, _ in seen]
    assert paths == ["/v1/completions", "/v1/chat/completions", "/v1/chat/completions"]


async def test_a_strict_key_is_not_told_as_chat(bench):
    engine = await bench.engine(speaking([], {"/v1/chat/completions": [chat_stream("b")]}))
    prompt = prompt_of()
    prompt.compatibility = "strict"
    with pytest.raises(Refusal) as found:
        await told(engine, prompt)
    assert (found.value.code, found.value.field) == ("unsupported_feature", "prompt")


async def test_several_prompts_are_asked_one_by_one_where_chat_must_do(bench):
    seen = []
    answers = {"/v1/chat/completions": [chat_stream("1"), chat_stream("2"), chat_stream("3")]}
    engine = await bench.engine(speaking(seen, answers))
    deltas, wire = await told(engine, prompt_of(prompt=["a", "b", "c"], echo=True))
    body = json.loads(wire)
    assert [choice["text"] for choice in body["choices"]] == ["a1", "b2", "c3"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert deltas[-1].meters == Meters(input_text=6, output_text=9)
    assert body["usage"]["total_tokens"] == 15


async def test_llamacpp_is_always_streamed_and_written_here(bench):
    seen = []
    timings = {"prompt_n": 2, "predicted_n": 2, "cache_n": 1}
    stream = sse(b"null", chunk("b", timings=timings), chunk("", "length", timings=timings))
    engine = await bench.engine(speaking(seen, {"/v1/completions": [stream]}), kind="llamacpp")
    deltas, wire = await told(engine, prompt_of(echo=True))
    sent = seen[0][1]
    assert sent["stream"] is True
    assert sent["timings_per_token"] is True
    assert (sent["max_tokens"], sent["cache_prompt"]) == (16, False)
    assert "echo" not in sent
    assert json.loads(wire)["choices"][0]["text"] == "ab"
    assert deltas[-1].meters == Meters(input_text=2, input_cache_read=1, output_text=2)


async def test_llamacpp_is_asked_for_log_probabilities_it_would_take_for_none(bench):
    seen = []
    stream = sse(chunk("b"), chunk("", "stop"))
    engine = await bench.engine(speaking(seen, {"/v1/completions": [stream]}), kind="llamacpp")
    await told(engine, prompt_of(logprobs=0))
    assert seen[0][1]["logprobs"] == 1


@pytest.mark.parametrize(
    "fields", [{"suffix": "x"}, {"echo": True, "logprobs": 1}, {"echo": True, "prompt": [1]}]
)
async def test_llamacpp_is_not_asked_for_what_it_ignores(bench, fields):
    seen = []
    engine = await bench.engine(speaking(seen, {}), kind="llamacpp")
    with pytest.raises(Refusal) as found:
        await told(engine, prompt_of(**fields))
    assert found.value.code == "unsupported_feature"
    assert not seen


async def test_the_events_of_one_by_one_are_those_of_one_answer(bench):
    streams = [
        sse(chunk(text), chunk("", "stop", timings={"prompt_n": 1, "predicted_n": 1}))
        for text in ("x", "y")
    ]
    engine = await bench.engine(speaking([], {"/v1/completions": streams}), kind="llamacpp")
    deltas, _ = await told(engine, prompt_of(prompt=["a", "b"]))
    events = [event for delta in deltas for event in delta.events]
    assert events == [Text("x", 0), Finished("stop", 0), Text("y", 1), Finished("stop", 1)]
    assert deltas[-1].meters == Meters(input_text=2, output_text=2)

"""What was asked of an answer and a server ignores: one tool call, a strict schema; and which stop
sequence it met."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from portico.canon.conversation import Conversation, Message, TextPart, Tool
from portico.canon.delta import Finished, Text, ToolArguments, ToolCallBegan
from portico.engines.promises import shape
from portico.errors import Refusal

from .prompts import Heard, heard, prompt_of
from .test_foreign import call
from .test_hostile import DONE, EVENTS, JSON, ROLE, STOP, USAGE, chunk, events

pytestmark = pytest.mark.anyio

LOOK = {"type": "function", "function": {"name": "look"}}
ONE = {"tools": [LOOK], "parallel_tool_calls": False}
TOOLS = frozenset({"tools"})
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
SHAPED = frozenset({"json_schema"})
TWO_CALLS = (
    *(ROLE, chunk({"content": "Well."}), call(0, "look", '{"a":'), call(0, said="1}")),
    *(call(1, "look", "{}"), call(2, "look", "{}")),
)
ENDED = (chunk(finish="tool_calls"), USAGE, DONE)


def shaped(strict, **fields):
    named = {"name": "n", "schema": SCHEMA, **({} if strict is None else {"strict": strict})}
    form = {"type": "json_schema", "json_schema": named}
    return prompt_of(SHAPED, response_format=form, **fields)


def whole(message, finish="stop"):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return json.dumps({"id": "c", "choices": [choice], "usage": usage}, indent=1).encode()


def names_called(found):
    calls = []
    for delta in found.deltas:
        calls += [event.id for event in delta.events if isinstance(event, ToolCallBegan)]
    return calls


# --- one call -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "stream"), [("generic", True), ("vllm", True), ("llamacpp", True), ("llamacpp", False)]
)
async def test_the_engine_is_stopped_when_a_second_call_begins(bench, kind, stream):
    """It would go on for ever; the first call is whole and is all that is told."""
    closed = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (EVENTS, b"".join(TWO_CALLS)))
        await peer.until_client_closes()
        closed.set()

    found = await heard(
        await bench.engine(script, kind=kind), prompt_of(TOOLS, stream=stream, **ONE)
    )
    async with asyncio.timeout(5):
        await closed.wait()
    assert names_called(found) == ["call_0"]
    said = [e for delta in found.deltas for e in delta.events if isinstance(e, ToolArguments)]
    assert "".join(event.json for event in said) == '{"a":1}'
    assert found.over
    assert found.deltas[-1].finish == "tool_calls"
    assert b"call_1" not in found.written
    assert sum(delta.output_tokens for delta in found.deltas) == 5, "what was made is counted"


async def test_a_single_call_keeps_its_own_end_and_usage(bench):
    one = (ROLE, call(0, "look", "{}"), *ENDED)
    found = await heard(await bench.engine(events(*one)), prompt_of(TOOLS, stream=True, **ONE))
    assert (names_called(found), found.meters.output_tokens) == (["call_0"], 7)
    assert found.written.endswith(b"data: [DONE]\n\n")


async def test_an_engine_that_is_done_already_is_cut_all_the_same(bench):
    found = await heard(
        await bench.engine(events(*TWO_CALLS, *ENDED)), prompt_of(TOOLS, stream=True, **ONE)
    )
    ends = [e for delta in found.deltas for e in delta.events if isinstance(e, Finished)]
    assert (names_called(found), ends) == (["call_0"], [Finished("tool_calls")])


@pytest.mark.parametrize("said", [True, None])
async def test_who_did_not_ask_for_one_gets_all(bench, said):
    engine = await bench.engine(events(*TWO_CALLS, *ENDED))
    asked = prompt_of(TOOLS, stream=True, tools=[LOOK], parallel_tool_calls=said)
    assert b"call_2" in (await heard(engine, asked)).written


async def test_a_whole_answer_has_its_first_call(bench):
    calls = [{"id": f"call_{n}", "function": {"name": "look"}, "extra": n} for n in range(3)]
    body = whole({"content": None, "tool_calls": calls}, "tool_calls")
    found = await heard(await bench.engine(events(body, fields=JSON)), prompt_of(TOOLS, **ONE))
    said = json.loads(found.written)
    assert said["choices"][0]["message"]["tool_calls"] == calls[:1]
    assert found.meters.output_tokens == 7


async def test_each_of_several_choices_keeps_its_first_call(bench):
    def of_choice(index, delta=None, finish=None):
        return chunk(delta, finish).replace(b'"index": 0, "delta"', b'"index": %d, "delta"' % index)

    def begins(index, number):
        entry = {"index": number, "id": f"c{index}{number}", "type": "function"}
        return of_choice(index, {"tool_calls": [{**entry, "function": {"name": "look"}}]})

    said = [begins(index, number) for number in (0, 1) for index in (0, 1)]
    ends = [of_choice(index, finish="tool_calls") for index in (0, 1)]
    engine = await bench.engine(events(*said, *ends, USAGE, DONE))
    found = await heard(engine, prompt_of(TOOLS, stream=True, n=2, **ONE))
    assert names_called(found) == ["c00", "c10"]
    assert found.meters.output_tokens == 7


async def test_the_servers_own_honesty_is_asked_for_too(bench):
    engine = await bench.engine(events(ROLE, call(0, "look", "{}"), *ENDED))
    await heard(engine, prompt_of(TOOLS, stream=True, **ONE))
    assert json.loads(bench.seen[0].body)["parallel_tool_calls"] is False


# --- a strict schema ------------------------------------------------------------------------------

GOOD, BAD = '{"age": 3}', '{"age": "3"}'


def streamed(text, finish="stop"):
    middle = len(text) // 2
    said = [chunk({"content": part}) for part in (text[:middle], text[middle:])]
    return events(ROLE, *said, chunk(finish=finish), USAGE, DONE)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_off_its_schema_is_no_answer(bench, stream, clean):
    script = streamed(BAD) if stream else events(whole({"content": BAD}), fields=JSON)
    engine = await bench.engine(script, clean=clean)
    asked = shaped(True, stream=stream)
    found = Heard(asked)
    with pytest.raises(Refusal) as refused:
        await engine.generate(asked, found.relay)
    assert refused.value.code == "schema_not_followed"
    assert "$.age must be of type integer" in refused.value.message
    assert '"3"' not in refused.value.message, "nothing of the answer is told"
    assert not found.over
    assert found.meters.output_tokens == 7, "it was made, and is counted"
    assert (b"DONE" not in found.written) if stream else not found.written


@pytest.mark.parametrize("stream", [True, False])
async def test_one_that_follows_keeps_its_bytes(bench, stream):
    body = whole({"content": GOOD})
    engine = await bench.engine(streamed(GOOD) if stream else events(body, fields=JSON))
    found = await heard(engine, shaped(True, stream=stream))
    assert found.over
    assert found.written.endswith(b"[DONE]\n\n") if stream else found.written == body


@pytest.mark.parametrize(
    ("message", "finish"),
    [
        ({"content": '{"age'}, "length"),
        ({"content": ""}, "content_filter"),
        ({"content": None, "refusal": "No."}, "stop"),
        ({"content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]}, "tool_calls"),
    ],
)
async def test_what_could_not_have_the_shape_is_let_through(bench, message, finish):
    engine = await bench.engine(events(whole(message, finish), fields=JSON))
    assert (await heard(engine, shaped(True))).over


@pytest.mark.parametrize("text", ["", "Sure! {}", '{"age": 3', "[]", "[" * 2_000])
async def test_what_is_not_such_json_at_all_is_told_so(bench, text):
    engine = await bench.engine(events(whole({"content": text}), fields=JSON))
    with pytest.raises(Refusal):
        await heard(engine, shaped(True))


async def test_what_is_too_long_to_be_checked_is_not_kept(bench, monkeypatch):
    monkeypatch.setattr(shape, "_CHARACTERS_MAX", 9)
    engine = await bench.engine(streamed(GOOD))
    with pytest.raises(Refusal) as refused:
        await heard(engine, shaped(True, stream=True))
    assert (refused.value.code, refused.value.limit) == ("schema_not_followed", 9)


@pytest.mark.parametrize(
    ("kind", "strict"), [("vllm", True), ("generic", False), ("generic", None)]
)
async def test_a_grammar_is_believed_and_a_wish_is_no_promise(bench, kind, strict):
    engine = await bench.engine(streamed(BAD), kind=kind)
    assert (await heard(engine, shaped(strict, stream=True))).over


async def test_dialects_that_know_no_looser_schema_mean_it(bench):
    asked = Conversation((Message("user", (TextPart("Hi"),)),), output_schema=SCHEMA)
    foreign = replace(prompt_of(SHAPED), dialect="anthropic_messages", conversation=lambda: asked)
    found = Heard(foreign)
    with pytest.raises(Refusal):
        await (await bench.engine(streamed(BAD))).generate(foreign, found.relay)


# --- which stop sequence --------------------------------------------------------------------------


def stopping(**members):
    return replace(
        prompt_of(),
        dialect="anthropic_messages",
        conversation=lambda: Conversation(
            (Message("user", (TextPart("Hi"),)),), stop=("END", "."), tools=(Tool("t", {}),)
        ),
    )


SAYS_WHY = {
    "llamacpp": chunk(finish="stop", __verbose={"stopping_word": "END"}),
    "vllm": chunk(finish="stop").replace(
        b'"finish_reason"', b'"stop_reason": "END", "finish_reason"'
    ),
    "sglang": chunk(finish="stop").replace(
        b'"finish_reason"', b'"matched_stop": "END", "finish_reason"'
    ),
}


async def ended(bench, kind, last):
    engine = await bench.engine(
        events(ROLE, chunk({"content": "Hi"}), last, USAGE, DONE), kind=kind
    )
    found = Heard(stopping())
    await engine.generate(stopping(), found.relay)
    said = [event for delta in found.deltas for event in delta.events]
    assert said[0] == Text("Hi")
    return said[-1]


@pytest.mark.parametrize("kind", list(SAYS_WHY))
async def test_a_server_that_says_which_is_heard(bench, kind):
    assert await ended(bench, kind, SAYS_WHY[kind]) == Finished("stop_sequence", sequence="END")


@pytest.mark.parametrize(
    "last",
    [
        STOP,
        chunk(finish="stop", __verbose={"stopping_word": ""}),
        chunk(finish="stop", __verbose="x"),
        STOP.replace(b'"finish_reason"', b'"stop_reason": 151645, "finish_reason"'),
    ],
)
async def test_what_is_not_said_is_not_made_up(bench, last):
    assert await ended(bench, "vllm", last) == Finished("stop")


async def test_only_llamacpp_is_asked_and_only_for_those_who_are_told(bench):
    await ended(bench, "llamacpp", STOP)
    asked = json.loads(bench.seen[-1].body)
    assert (asked["verbose"], asked["response_fields"]) == (True, ["stopping_word"])
    await ended(bench, "vllm", STOP)
    assert "verbose" not in json.loads(bench.seen[-1].body)
    chat = await bench.engine(events(ROLE, STOP, USAGE, DONE), kind="llamacpp")
    await heard(chat, prompt_of(stream=True, stop=["END"]))
    assert "verbose" not in json.loads(bench.seen[-1].body)

"""Responses that are kept and conversations, with the official SDK, on the engine that comes with
Portico and on the simulated one."""

import json
import os
import signal
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from tests.whole.conftest import Served
from tests.whole.hi import Hi, saying_hi
from tests.whole.wire import Wire, eventually, get

DEMO, ECHO = "portico-demo", "sim-echo"
QUINCE = f"data:text/plain;base64,{b64encode(b'The word is quince.').decode()}"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


@pytest.fixture
async def waiting(served: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def words(items: Any) -> list[str]:
    return [item.content[0].text for item in items]


@pytest.mark.parametrize("model", [DEMO, ECHO])
def test_a_response_is_kept_followed_read_and_deleted(client: openai.OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input="What is Portico?", max_output_tokens=20)
    second = client.responses.create(
        model=model,
        input="And what else?",
        previous_response_id=first.id,
        max_output_tokens=20,
        metadata={"a": "b"},
    )
    assert second.previous_response_id == first.id
    assert second.to_dict()["store"] is True
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    assert client.responses.retrieve(second.id, include=["reasoning.encrypted_content"]) == second
    assert words(client.responses.input_items.list(second.id)) == ["And what else?"]
    client.responses.delete(first.id)
    for gone in (
        lambda: client.responses.retrieve(first.id),
        lambda: client.responses.delete(first.id),
        lambda: client.responses.input_items.list(first.id),
        lambda: client.responses.cancel(first.id),
    ):
        with pytest.raises(openai.NotFoundError):
            gone()
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=model, input="x", previous_response_id=second.id)
    assert refused.value.code == "previous_response_not_found"


@pytest.mark.parametrize("model", [DEMO, ECHO])
@pytest.mark.anyio
async def test_the_same_without_waiting(waiting: openai.AsyncOpenAI, model: str) -> None:
    first = await waiting.responses.create(model=model, input="Hello", max_output_tokens=10)
    assert await waiting.responses.retrieve(first.id) == first
    assert words([each async for each in waiting.responses.input_items.list(first.id)]) == ["Hello"]
    chat = await waiting.conversations.create(items=[{"role": "user", "content": "I am Ada."}])
    answer = await waiting.responses.create(
        model=model, input="Who am I?", conversation=chat.id, max_output_tokens=10
    )
    listed = [
        each async for each in waiting.conversations.items.list(chat.id, order="asc", limit=1)
    ]
    assert words(listed) == ["I am Ada.", "Who am I?", answer.output_text]
    assert (await waiting.conversations.delete(chat.id)).deleted
    await waiting.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await waiting.responses.retrieve(first.id)


@pytest.mark.parametrize("model", [DEMO, ECHO])
def test_a_stream_can_be_read_the_moment_it_has_ended(client: openai.OpenAI, model: str) -> None:
    for _ in range(5):
        with client.responses.create(
            model=model, input="Hello there", stream=True, max_output_tokens=10
        ) as stream:
            for event in stream:
                if event.type in ("response.completed", "response.incomplete"):
                    found = client.responses.retrieve(event.response.id)
                    assert found == event.response
                    break
            else:
                pytest.fail("it never ended")


def test_pages_of_what_was_sent(client: openai.OpenAI) -> None:
    given: Any = [{"role": "user", "content": str(at)} for at in range(25)]
    kept = client.responses.create(model=ECHO, input=given)
    newest = [str(at) for at in reversed(range(25))]
    assert words(client.responses.input_items.list(kept.id)) == newest
    assert words(client.responses.input_items.list(kept.id, limit=7, order="asc")) == newest[::-1]
    listed = client.responses.input_items.list(kept.id, limit=100, order="asc").data
    assert len({item.id for item in listed}) == 25
    page = client.responses.input_items.list(
        kept.id, order="asc", limit=3, extra_query={"before": listed[10].id}
    )
    assert (words(page.data), page.has_more) == (["7", "8", "9"], True)
    for query in ({"after": "msg_none"}, {"limit": "0"}, {"order": "up"}, {"include": "all"}):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.input_items.list(kept.id, extra_query=query)
        assert refused.value.param == next(iter(query))


def test_a_conversation_from_its_beginning_to_its_end(client: openai.OpenAI) -> None:
    chat = client.conversations.create(
        items=[{"role": "user", "content": "I am Ada."}], metadata={"topic": "names"}
    )
    assert client.conversations.retrieve(chat.id) == chat
    assert chat.metadata == {"topic": "names"}
    answer = client.responses.create(model=ECHO, input="Who?", conversation={"id": chat.id})
    assert answer.conversation is not None
    assert answer.conversation.id == chat.id
    added = client.conversations.items.create(
        chat.id, items=[{"role": "user", "content": "Good."}, {"role": "user", "content": "Bye."}]
    )
    listed = list(client.conversations.items.list(chat.id, order="asc", limit=2))
    assert words(listed) == ["I am Ada.", "Who?", answer.output_text, "Good.", "Bye."]
    assert [item.id for item in listed][-2:] == [item.id for item in added.data]
    one: Any = client.conversations.items.retrieve(added.data[0].id or "", conversation_id=chat.id)
    assert one == listed[3]
    left = client.conversations.items.delete(one.id, conversation_id=chat.id)
    assert left == chat
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(one.id, conversation_id=chat.id)
    assert client.conversations.update(chat.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert client.conversations.update(chat.id, metadata=None).metadata == {}
    gone = client.conversations.delete(chat.id)
    assert (gone.id, gone.deleted, gone.object) == (chat.id, True, "conversation.deleted")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=ECHO, input="x", conversation=chat.id)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"items": [{"role": "user", "content": "x"}] * 21}, "items"),
        ({"items": [{"type": "item_reference", "id": "x"}]}, "items[0].type"),
        ({"items": [{"role": "user", "content": 5}]}, "items[0].content"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"items": 5}, "items"),
    ],
)
def test_400_what_no_conversation_can_hold(
    client: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.conversations.create(extra_body=fields)
    assert refused.value.param == param


def test_one_key_one_conversation_and_one_item(client: openai.OpenAI) -> None:
    salt = os.urandom(8).hex()
    items: Any = [{"role": "user", "content": "I am Ada."}]
    making: Any = {"items": items, "extra_headers": {"Idempotency-Key": f"chat-{salt}"}}
    chat = client.conversations.create(**making)
    assert client.conversations.create(**making) == chat
    with pytest.raises(openai.ConflictError) as refused:
        client.conversations.create(**{**making, "items": []})
    assert refused.value.code == "idempotency_key_reused"
    adding: Any = {"items": items, "extra_headers": {"Idempotency-Key": f"item-{salt}"}}
    added = client.conversations.items.create(chat.id, **adding)
    assert client.conversations.items.create(chat.id, **adding) == added
    assert len(client.conversations.items.list(chat.id).data) == 2


def test_calls_and_their_results_over_turns(client: openai.OpenAI) -> None:
    asked = client.responses.create(
        model="sim-auto",
        input="What is the weather in Lisbon?",
        tools=[WEATHER],
        tool_choice="required",
    )
    call = next(item for item in asked.output if item.type == "function_call")
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=ECHO, input="Well?", previous_response_id=asked.id)
    assert refused.value.param == "previous_response_id"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}
    told = client.responses.create(model=ECHO, input=[result], previous_response_id=asked.id)
    assert told.status == "completed"
    again = client.responses.create(
        model=ECHO,
        input=[
            {"role": "user", "content": "What is the weather in Lisbon?"},
            {"type": "item_reference", "id": call.id or ""},
            result,
        ],
    )
    assert again.status == "completed"
    sent = list(client.responses.input_items.list(again.id, order="asc"))
    assert [item.type for item in sent] == ["message", "function_call", "function_call_output"]


def test_what_came_before_is_counted_judged_and_compacted(
    client: openai.OpenAI, served: Served
) -> None:
    kept = client.responses.create(model=ECHO, input="one two three four five six")
    alone = client.responses.input_tokens.count(model=ECHO, input="x").input_tokens
    both = client.responses.input_tokens.count(
        model=ECHO, input="x", previous_response_id=kept.id
    ).input_tokens
    told = client.responses.create(model=ECHO, input="x", previous_response_id=kept.id)
    assert told.usage is not None
    assert alone < told.usage.input_tokens <= both
    chat = client.conversations.create(items=[{"role": "user", "content": "one two three"}])
    for follows in ({"previous_response_id": kept.id}, {"conversation": chat.id}):
        fields = {"model": ECHO, "input": "x", **follows}
        verdict = posted(served, "/v1/preflight/responses", fields)
        bare = posted(served, "/v1/preflight/responses", {"model": ECHO, "input": "x"})
        assert verdict["valid"]
        assert (
            verdict["tokens"]["input"]["text"]["at_most"]
            > bare["tokens"]["input"]["text"]["at_most"]
        )
    nothing = {"model": "none", "input": "x", "previous_response_id": "resp_none"}
    verdict = posted(served, "/v1/preflight/responses", nothing)
    assert [each["code"] for each in verdict["violations"]] == [
        "previous_response_not_found",
        "model_not_found",
    ]
    compacted = client.responses.compact(model=ECHO, previous_response_id=told.id)
    item: Any = compacted.output[0]
    follows_it = client.responses.create(
        model=ECHO, input=[item.model_dump(), {"role": "user", "content": "x"}]
    )
    assert follows_it.usage is not None
    assert follows_it.usage.input_tokens > told.usage.input_tokens


def test_files_are_part_of_what_is_made_shorter(client: openai.OpenAI) -> None:
    """By their ids, and inline; and they stay there when the file is gone."""
    file = client.files.create(file=("a.txt", b"The word is quince."), purpose="user_data")
    made: list[Any] = []
    for part in (
        {"type": "input_file", "file_id": file.id},
        {"type": "input_file", "filename": "a.txt", "file_data": QUINCE},
    ):
        items: Any = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "Yes."}]
        told = client.responses.create(model=ECHO, input=items[:1])
        for follows in ({"input": items}, {"previous_response_id": told.id}):
            asked: Any = {"model": ECHO, **follows}
            made.append(client.responses.compact(**asked).output[0].model_dump())
            bare = client.responses.input_tokens.count(model=ECHO, input=items[1:]).input_tokens
            counted = client.responses.input_tokens.count(model=ECHO, input=[made[-1]])
            assert counted.input_tokens >= bare + 4
    client.files.delete(file.id)
    for item in made:
        asked = [item, {"role": "user", "content": "x"}]
        assert client.responses.create(model=ECHO, input=asked).status == "completed"


def posted(served: Served, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    wire = Wire(served)
    try:
        told: dict[str, Any] = json.loads(wire.post(path, json.dumps(fields).encode()).answer()[2])
        return told
    finally:
        wire.hang_up()


def test_whoever_hangs_up_finds_it_cancelled(served: Served, client: openai.OpenAI) -> None:
    wire = Wire(served)
    asked = {"model": "sim-stall", "input": "x", "stream": True}
    wire.post("/v1/responses", json.dumps(asked).encode()).read_until(b"response.output_text.delta")
    created = wire.received.split(b"data: ")[1].split(b"\n")[0]
    response_id = json.loads(created)["response"]["id"]
    wire.hang_up()
    eventually(lambda: get(served, f"/v1/responses/{response_id}")[0] == 200)
    found = client.responses.retrieve(response_id)
    assert (found.status, found.output[0].type) == ("cancelled", "message")
    with pytest.raises(openai.ConflictError):
        client.responses.create(model=ECHO, input="x", previous_response_id=response_id)


def test_a_retry_is_answered_whatever_became_of_what_it_follows(client: openai.OpenAI) -> None:
    """Its own answer is in the conversation now, and what it followed is deleted."""
    chat = client.conversations.create()
    named = {"Idempotency-Key": "weather"}
    calling: Any = {"model": "sim-auto", "tools": [WEATHER], "tool_choice": "required"}
    first = client.responses.create(
        input="What is the weather in Lisbon?", conversation=chat.id, extra_headers=named, **calling
    )
    again = client.responses.create(
        input="What is the weather in Lisbon?", conversation=chat.id, extra_headers=named, **calling
    )
    assert (first.output[0].type, again) == ("function_call", first)
    before = client.responses.create(model=ECHO, input="one")
    follows: Any = {"model": ECHO, "input": "two", "previous_response_id": before.id}
    named = {"Idempotency-Key": "two"}
    second = client.responses.create(**follows, extra_headers=named)
    client.responses.delete(before.id)
    assert client.responses.create(**follows, extra_headers=named) == second
    with pytest.raises(openai.BadRequestError):
        client.responses.create(**follows, extra_headers={"Idempotency-Key": "three"})
    with pytest.raises(openai.ConflictError) as refused:
        client.responses.create(model=ECHO, input="one", extra_headers=named)
    assert refused.value.code == "idempotency_key_reused"


def test_in_the_background_a_conversation_is_added_to_all_the_same(client: openai.OpenAI) -> None:
    chat = client.conversations.create(items=[{"role": "user", "content": "I am Ada."}])
    asked = client.responses.create(model=ECHO, input="Who?", conversation=chat.id, background=True)
    eventually(lambda: client.responses.retrieve(asked.id).status == "completed")
    assert words(client.conversations.items.list(chat.id, order="asc")) == [
        *("I am Ada.", "Who?", "Who?")
    ]
    follows = client.responses.create(model=ECHO, input="And?", background=True)
    eventually(lambda: client.responses.retrieve(follows.id).status == "completed")
    last = client.responses.create(model=ECHO, input="x", previous_response_id=follows.id)
    assert last.previous_response_id == follows.id


def test_one_conversation_two_requests(served: Served, client: openai.OpenAI) -> None:
    """The second waits its turn, as the SDK has it."""
    chat = client.conversations.create()
    asked = {"model": "sim-stall", "input": "x", "stream": True, "conversation": chat.id}
    wire = Wire(served)
    wire.post("/v1/responses", json.dumps(asked).encode()).read_until(b"response.created")
    with pytest.raises(openai.ConflictError) as refused:
        client.responses.create(model=ECHO, input="Hello", conversation=chat.id)
    assert refused.value.code == "conversation_locked"
    assert int(refused.value.response.headers["retry-after"]) >= 1
    leaving = threading.Timer(0.1, wire.hang_up)
    leaving.start()
    patient = client.with_options(max_retries=5)
    assert patient.responses.create(model=ECHO, input="Hello", conversation=chat.id).output_text
    leaving.join()
    assert words(client.conversations.items.list(chat.id, order="asc")) == ["Hello", "Hello"]


def test_whatever_is_refused_leaves_a_conversation_free(client: openai.OpenAI) -> None:
    chat = client.conversations.create()
    wrong: Any = (
        {"model": "none"},
        {"temperature": 9},
        {"input": [{"role": "user", "content": 5}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
        {"model": "sim-error"},
        {"max_output_tokens": 10**9},
    )
    for each in wrong:
        with pytest.raises(openai.APIStatusError) as refused:
            client.responses.create(
                **{"model": ECHO, "input": "x", "conversation": chat.id, **each}
            )
        assert refused.value.code != "conversation_locked", each
    assert client.responses.create(model=ECHO, input="Hello", conversation=chat.id).output_text
    listed = client.conversations.items.list(chat.id, order="asc")
    assert words(listed) == ["Hello", "Hello"]


@contextmanager
def behind(serve: Any) -> Iterator[tuple[Hi, openai.OpenAI]]:
    """A server with an engine that remembers what it was told."""
    with saying_hi({"id": "base", "owned_by": "vllm", "max_model_len": 4_096}) as engine:
        served = serve("--upstream", engine.base_url, env={"PORTICO_ENGINE_ENABLED": "false"})
        with openai.OpenAI(
            base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
        ) as client:
            yield engine, client


def test_an_engine_is_told_all_that_came_before_and_nothing_else(serve: Any) -> None:
    with behind(serve) as (engine, client):
        first = client.responses.create(
            model="base", input="one", instructions="Be brief.", tools=[WEATHER]
        )
        second = client.responses.create(
            model="base", input="two", previous_response_id=first.id, instructions="Be long."
        )
        client.responses.create(model="base", input="three", previous_response_id=second.id)
        told = engine.asked[-2:]
        assert [(each["role"], each["content"]) for each in told[0]["messages"]] == [
            ("system", "Be long."),
            ("user", "one"),
            ("assistant", "Hi"),
            ("user", "two"),
        ]
        assert [each["content"] for each in told[1]["messages"]] == [
            *("one", "Hi", "two", "Hi", "three")
        ]
        assert not any("tools" in each for each in told)
        gone = client.responses.create(model="base", input="x", store=False)
        assert gone.to_dict()["store"] is False
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone.id)


def test_a_killed_server_leaves_a_conversation_that_goes_on(serve: Any) -> None:
    """What was settled is there; what was under way is not, and its lock ends by itself."""
    server = serve("--simulated", env={"PORTICO_ENGINE_ENABLED": "false"})
    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key, timeout=30) as client:
        chat = client.conversations.create()
        client.responses.create(model=ECHO, input="one", conversation=chat.id)
    asked = {"model": "sim-stall", "input": "two", "stream": True, "conversation": chat.id}
    wire = Wire(server)
    wire.post("/v1/responses", json.dumps(asked).encode()).read_until(b"response.created")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(30)
    again = serve("--simulated", data_dir=server.data_dir, env={"PORTICO_ENGINE_ENABLED": "false"})
    with openai.OpenAI(base_url=again.base_url, api_key=server.api_key, timeout=30) as client:
        assert words(client.conversations.items.list(chat.id, order="asc")) == ["one", "one"]
        with pytest.raises(openai.ConflictError):
            client.with_options(max_retries=0).responses.create(
                model=ECHO, input="three", conversation=chat.id
            )

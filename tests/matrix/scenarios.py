"""What happens in each row of the matrix, once for every SDK, engine and way.

They run without pytest as well, hence the messages of the asserts.
"""

import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.matrix.asking import (
    Answer,
    Broken,
    Call,
    Door,
    Picture,
    Question,
    Refused,
    Results,
    Tool,
    eventually,
)
from tests.matrix.cells import Engine
from tests.matrix.ways import Client


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WEATHER = Tool("get_weather", "The weather in a city.", _object(city={"type": "string"}))
TIME = Tool("get_time", "The time in a city.", _object(city={"type": "string"}))
PERSON = _object(
    name={"type": "string", "maxLength": 20}, age={"type": "integer", "minimum": 0, "maximum": 150}
)


def text(client: Client, door: Door, engine: Engine) -> None:
    model = engine.model_for("text")
    before = door.used(model)
    first = client.ask(Question(model, ("My name is Ada.",), system="Be brief."))
    assert first.text, "an answer in words"
    assert first.ended == "done", first.ended
    second = client.ask(Question(model, ("My name is Ada.", first, "What is my name?")))
    assert second.tokens_in > first.tokens_in, "the history was read"
    after = door.used(model)
    grown = tuple(now - then for now, then in zip(after, before, strict=True))
    told = (2, first.tokens_in + second.tokens_in, first.tokens_out + second.tokens_out)
    assert grown == told, f"recorded {grown}, told {told}"
    if client.way.startswith("stream") and engine.obeys:  # the demo may say it all in one read
        assert first.pieces >= 5, "it came token by token"


def tools(client: Client, _: Door, engine: Engine) -> None:
    asked = "What is the weather in Lisbon?"
    model = engine.model_for("tools")
    first = client.ask(Question(model, (asked,), tools=(WEATHER, TIME)))
    (call,) = _called(first, "get_weather")
    answered = Results(((call, {"temperature_c": 24, "sky": "clear"}),))
    second = client.ask(Question(model, (asked, first, answered), tools=(WEATHER, TIME)))
    assert second.ended == "done", second.ended
    assert "24" in second.text, second.text


def parallel_tools(client: Client, _: Door, engine: Engine) -> None:
    asked = "What is the weather in Lisbon and in Oslo?" + engine.told("calls=2")
    model = engine.model_for("parallel tools")
    first = client.ask(Question(model, (asked,), tools=(WEATHER,)))
    lisbon, oslo = _called(first, "get_weather", "get_weather")
    assert lisbon.id != oslo.id, "each call can be told from the other"
    answered = Results(
        (
            (lisbon, {"temperature_c": 24, "sky": "clear"}),
            (oslo, {"temperature_c": 7, "sky": "cloudy"}),
        )
    )
    second = client.ask(Question(model, (asked, first, answered), tools=(WEATHER,)))
    assert "7" in second.text, second.text


def forced_tool(client: Client, _: Door, engine: Engine) -> None:
    answer = client.ask(
        Question(
            engine.model_for("forced tool"),
            ("What is the weather in Lisbon?",),
            tools=(TIME, WEATHER),
            tool="get_weather",
        )
    )
    _called(answer, "get_weather")


def json_schema(client: Client, _: Door, engine: Engine) -> None:
    answer = client.ask(
        Question(
            engine.model_for("json schema"),
            ("Extract as JSON: Ada is 36 years old.",),
            schema=PERSON,
        )
    )
    assert answer.ended == "done", answer.ended
    person = json.loads(answer.text)
    assert set(person) == {"name", "age"}, person
    assert isinstance(person["name"], str), person
    assert 0 <= person["age"] <= 150, person


def images(client: Client, _: Door, engine: Engine) -> None:
    model = engine.model_for("images")
    answer = client.ask(Question(model, (Picture("Look at this.", PNG),)))
    assert answer.text == "Look at this.", answer.text
    refused = refusal(client, Question(model, (Picture("Look at this.", b"no picture"),)))
    assert refused.status == 400, refused


def reasoning(client: Client, _: Door, engine: Engine) -> None:
    model = engine.model_for("reasoning")
    first = client.ask(Question(model, ("Hello",), think=True))
    assert first.thought, "thoughts are shown"
    assert first.text == "Hello", first.text
    assert first.tokens_out > 64, "they are counted as output"
    second = client.ask(Question(model, ("Hello", first, "Go on"), think=True))
    assert second.text == "Go on", second.text


def stop(client: Client, _: Door, engine: Engine) -> None:
    question = Question(engine.model_for("stop"), ("Repeat: 1, 2, 3, 4, 5",))
    stopped = client.ask(replace(question, stop=", 4"))
    assert stopped.text.endswith("1, 2, 3"), stopped.text
    assert stopped.ended == "done", stopped.ended
    capped = client.ask(replace(question, tokens_max=3))
    assert capped.ended == "cap", capped.ended
    assert capped.tokens_out == 3, capped.tokens_out


def n(client: Client, _: Door, engine: Engine) -> None:
    answer = client.ask(Question(engine.model_for("n"), ("Hello",), choices=2))
    assert len(answer.texts) == 2, answer.texts
    assert all(answer.texts), answer.texts


def logprobs(client: Client, _: Door, engine: Engine) -> None:
    question = Question(engine.model_for("logprobs"), ("Hello",), alternatives=2)
    answer = client.ask(question)
    assert "".join(token.text for token in answer.logprobs) == answer.text
    for token in answer.logprobs:
        assert token.logprob <= 0, token
        assert token.alternatives == 2, token


def long_context(client: Client, _: Door, engine: Engine) -> None:
    model = engine.model_for("long context")
    long = "word " * engine.words_many
    answer = client.ask(Question(model, (f"{long}. Hello",), tokens_max=8))
    assert answer.tokens_in > engine.words_many, answer.tokens_in
    refused = refusal(client, Question(model, ("word " * engine.words_too_many,), tokens_max=8))
    assert refused.status == 400, refused
    assert re.search(r"\b\d{4,}\b", refused.message), f"names the limit: {refused.message}"


def cancel(client: Client, door: Door, engine: Engine) -> None:
    # The demo counts on and on, and sim-stall never ends: neither answers before one can leave.
    question = Question(engine.model_for("cancel"), ("Count from 1 to 1000.",), tokens_max=3_000)
    requests, _, made = door.used(question.model)
    client.leave(question, patience_s=0.1)
    eventually(door.idle)
    if client.way.startswith("stream"):
        eventually(lambda: door.used(question.model)[0] == requests + 1)
        billed = door.used(question.model)[2] - made
        assert 0 < billed < question.tokens_max, f"{billed} tokens billed, left after the first"


def errors(client: Client, door: Door, engine: Engine) -> None:
    question = Question(engine.model_for("errors"), ("Hello",))
    stranger = type(client)(door.origin, "pk_live_nonsense", client.way)
    assert refusal(stranger, question).status == 401
    stranger.close()
    unknown = refusal(client, replace(question, model="no-such-model"))
    assert unknown.status == 404, unknown
    assert "no-such-model" in unknown.message, unknown
    wrong = refusal(client, replace(question, tokens_max=-1))
    assert wrong.status == 400, wrong
    assert "-1" in wrong.message, wrong
    if engine.obeys:
        busy = refusal(client, replace(question, turns=("Hello [[sim status=429]]",)))
        assert busy.status == 429, busy
        broken(client, replace(question, turns=("Hello [[sim tokens=50 fault=cut]]",)))
    assert client.ask(question).text, "and then it goes on"


def refusal(client: Client, question: Question) -> Refused:
    """How the SDK says that it was refused."""
    try:
        answer = client.ask(question)
    except Refused as refused:
        return refused
    raise AssertionError(f"not refused: {answer}")


def broken(client: Client, question: Question) -> None:
    """A whole answer that breaks off is a refusal; a stream may have begun."""
    try:
        answer = client.ask(question)
    except Broken:
        fits = client.way.startswith("stream")
    except Refused as refused:
        fits = refused.status == 502
    else:
        raise AssertionError(f"not broken: {answer}")
    assert fits, "another exception was due"


def _called(answer: Answer, *names: str) -> tuple[Call, ...]:
    """The calls of `answer`, by the tools of these names."""
    assert answer.ended == "tools", answer.ended
    assert [call.name for call in answer.calls] == list(names), answer.calls
    for call in answer.calls:
        assert isinstance(call.arguments["city"], str), call
    return answer.calls


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


PNG = b"".join(
    (
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")),
        _chunk(b"IEND", b""),
    )
)
"""One red pixel."""

BY_NAME: dict[str, Callable[[Client, Door, Engine], None]] = {
    "text": text,
    "tools": tools,
    "parallel tools": parallel_tools,
    "forced tool": forced_tool,
    "json schema": json_schema,
    "images": images,
    "reasoning": reasoning,
    "stop": stop,
    "n": n,
    "logprobs": logprobs,
    "long context": long_context,
    "cancel": cancel,
    "errors": errors,
}

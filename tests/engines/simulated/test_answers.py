"""What each model says, and how what the request asks shapes it."""

import json
import math
from typing import Any

import jsonschema_rs
import pytest

from portico.canon.conversation import Tool
from portico.engines.simulated.models import MODELS
from portico.engines.simulated.scripted import CONTEXT_TOKENS
from portico.errors import Refusal

from .asking import ask, prompt, result, turn

pytestmark = pytest.mark.anyio

WEATHER = Tool(
    "get_weather",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
    },
)
MAIL = Tool("sendMail", {})
CITY = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}


async def test_echo_says_the_last_user_message() -> None:
    answer = await ask(
        prompt("sim-echo", "One.", turn("assistant", "One."), "Two [[sim seed=3]] more. ")
    )
    assert answer.only.text == "Two  more."
    assert answer.only.finishes == ["stop"]


async def test_echo_of_nothing_is_an_empty_answer() -> None:
    answer = await ask(prompt("sim-echo", turn("system", "Be brief.")))
    assert answer.only.text == ""
    assert answer.deltas[-1].meters is not None
    assert answer.deltas[-1].meters.output_tokens == 0


@pytest.mark.parametrize(("model", "told", "made"), [("sim-lorem", "", 64), ("sim-echo", "9", 9)])
async def test_filler_has_the_length_asked_for(model: str, told: str, made: int) -> None:
    answer = await ask(prompt(model, "Go.", header=f"tokens={told}" if told else ""))
    assert answer.only.output_text_tokens == made


async def test_another_choice_and_another_seed_give_other_filler() -> None:
    one = (await ask(prompt("sim-lorem", "Go.", n=2))).choices
    other = (await ask(prompt("sim-lorem", "Go.", n=2, seed=1))).choices
    assert len({one[0].text, one[1].text, other[0].text, other[1].text}) == 4


@pytest.mark.parametrize(
    ("said", "choice", "called"),
    [
        ("Hello", "auto", ["get_weather"]),
        ("Please MAIL this", "auto", ["sendMail"]),
        ("Please mail this", "required", ["sendMail"]),
        ("Please mail this", "get_weather", ["get_weather"]),
        ("Please mail this [[sim calls=3]]", "auto", ["sendMail", "get_weather", "sendMail"]),
        ("Please mail this [[sim calls=2]]", "get_weather", ["get_weather", "get_weather"]),
    ],
)
async def test_tool_calls(said: str, choice: str, called: list[str]) -> None:
    answer = await ask(prompt("sim-tool", said, tools=(WEATHER, MAIL), tool_choice=choice))
    calls = answer.only.calls
    assert [name for _, name, _ in calls] == called
    assert len({id for id, _, _ in calls}) == len(calls)
    assert answer.only.finishes == ["tool_calls"]
    for _, name, arguments in calls:
        if name == "get_weather":
            jsonschema_rs.validator_for(WEATHER.parameters).validate(json.loads(arguments))
        else:
            assert json.loads(arguments) == {}


async def test_one_call_is_made_where_no_more_may_be() -> None:
    said = "Please mail this [[sim calls=3]]"
    answer = await ask(prompt("sim-tool", said, tools=(WEATHER, MAIL), parallel_calls=False))
    assert [name for _, name, _ in answer.only.calls] == ["sendMail"]


@pytest.mark.parametrize("model", ["sim-tool", "sim-auto"])
async def test_no_tool_is_called_against_the_rules(model: str) -> None:
    """Not with tool_choice none, not without tools, not again after a tool's answer."""
    told = result("12 degrees")
    for asked, said in (
        (prompt(model, "The weather?", tools=(WEATHER,), tool_choice="none"), "The weather?"),
        (prompt(model, "The weather?"), "The weather?"),
        (prompt(model, "The weather?", told, tools=(WEATHER,)), "12 degrees"),
    ):
        answer = await ask(asked)
        assert (answer.only.text, answer.only.calls) == (said, [])
    forced = prompt(model, "The weather?", told, tools=(WEATHER,), tool_choice="required")
    assert (await ask(forced)).only.finishes == ["tool_calls"]


@pytest.mark.parametrize("model", ["sim-tool", "sim-auto"])
async def test_a_scripted_call_is_made_once_and_as_it_is_written(model: str) -> None:
    script = '[[sim call=sendMail args={"to": "a b"}]]'
    only = (await ask(prompt(model, f"Weather? {script}", tools=(WEATHER, MAIL)))).only
    assert [call[1:] for call in only.calls] == [["sendMail", '{"to": "a b"}']]
    told = (turn("user", f"Weather? {script}"), result("sent"))
    assert (await ask(prompt(model, *told, tools=(WEATHER, MAIL)))).only.text == "sent"
    missing = await ask(prompt(model, "Go. [[sim call=fly]]", tools=(WEATHER,)))
    assert isinstance(missing.error, Refusal)
    assert missing.error.value == "fly"


async def test_a_tool_nobody_offered_cannot_be_forced() -> None:
    answer = await ask(prompt("sim-tool", "Go.", tools=(WEATHER,), tool_choice="fly"))
    assert isinstance(answer.error, Refusal)
    assert (answer.error.code, answer.error.field) == ("invalid_value", "tool_choice")


@pytest.mark.parametrize("model", ["sim-json", "sim-auto"])
async def test_json_by_the_schema(model: str) -> None:
    answer = await ask(prompt(model, "Where?", output_schema=CITY))
    jsonschema_rs.validator_for(CITY).validate(json.loads(answer.only.text))
    free = await ask(prompt(model, "Where?", output_schema={}))
    assert json.loads(free.only.text) == {"answer": "Where?"}


async def test_a_schema_nothing_satisfies_is_refused_at_its_place() -> None:
    schema = {"type": "object", "properties": {"a": False}, "required": ["a"]}
    answer = await ask(prompt("sim-json", "Go.", output_schema=schema))
    assert isinstance(answer.error, Refusal)
    assert (answer.error.code, answer.error.value) == ("invalid_json_schema", "#/properties/a")


@pytest.mark.parametrize(
    ("model", "effort", "header", "thought"),
    [
        ("sim-reasoning", "", "", 256),
        ("sim-reasoning", "low", "", 64),
        ("sim-reasoning", "none", "", 0),
        ("sim-reasoning", "low", "reasoning=7", 7),
        ("sim-auto", "", "", 0),
        ("sim-auto", "minimal", "", 16),
        ("sim-auto", "high", "reasoning=0", 0),
        ("sim-echo", "high", "", 0),
    ],
)
async def test_reasoning_by_effort(model: str, effort: str, header: str, thought: int) -> None:
    answer = await ask(prompt(model, "Why?", effort=effort, header=header))
    meters = answer.deltas[-1].meters
    assert meters is not None
    assert (meters.output_reasoning, meters.output_text) == (thought, 2)
    assert answer.only.text == "Why?"


async def test_auto_obeys_what_is_asked() -> None:
    async def done(said: str, **asks: Any) -> str:
        only = (await ask(prompt("sim-auto", said, **asks))).only
        return only.calls[0][1] if only.calls else only.text

    assert await done("Hello") == "Hello"
    assert await done("Hello", tools=(WEATHER,)) == "Hello"
    assert await done("Weather?", tools=(WEATHER,)) == "get_weather"
    assert await done("Weather?", tools=(WEATHER,), output_schema={}) == "get_weather"
    assert await done("Hello", tools=(WEATHER,), output_schema={}) == '{"answer":"Hello"}'
    assert await done("Hello", tools=(WEATHER, MAIL), tool_choice="sendMail") == "sendMail"
    assert await done("Hello", tools=(WEATHER, MAIL), tool_choice="required") == "get_weather"


async def test_a_refusal_is_the_models_own() -> None:
    only = (await ask(prompt("sim-refusal", "Do harm."))).only
    assert only.refusal
    assert (only.text, only.finishes) == ("", ["stop"])


async def test_the_cap_breaks_off_a_tool_call() -> None:
    only = (await ask(prompt("sim-tool", "Go.", cap=3, tools=(WEATHER,)))).only
    assert only.finishes == ["length"]
    assert only.output_text_tokens == 3
    with pytest.raises(json.JSONDecodeError):
        json.loads(only.calls[0][2])


async def test_the_cap_that_just_fits_is_not_felt() -> None:
    assert (await ask(prompt("sim-echo", "One two three", cap=3))).only.finishes == ["stop"]
    assert (await ask(prompt("sim-echo", "One two three", cap=2))).only.finishes == ["length"]


@pytest.mark.parametrize(
    ("stop", "text", "made", "met"),
    [
        (("three",), "one two ", 3, "three"),
        (("o th", "two"), "one ", 2, "two"),
        (("ne t", "wo"), "o", 2, "ne t"),
        (("nowhere", ""), "one two three four", 4, ""),
        (("one",), "", 1, "one"),
    ],
)
async def test_stop_sequences(stop: tuple[str, ...], text: str, made: int, met: str) -> None:
    answer = await ask(prompt("sim-echo", "one two three four", stop=stop))
    meters = answer.deltas[-1].meters
    assert meters is not None
    assert (answer.only.text, meters.output_text) == (text, made)
    assert answer.only.finishes == ["stop_sequence" if met else "stop"]
    assert answer.only.sequence == met


@pytest.mark.parametrize("top", [0, 1, 20])
@pytest.mark.parametrize("chunk", [1, 4])
async def test_log_probabilities_belong_to_the_text(top: int, chunk: int) -> None:
    answer = await ask(
        prompt("sim-lorem", "Go.", top_logprobs=top, stop=(".",), header=f"chunk={chunk}")
    )
    entries = answer.only.logprobs
    assert "".join(entry["token"] for entry in entries) == answer.only.text
    for entry in entries:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs"}
        assert bytes(entry["bytes"]).decode() == entry["token"]
        likeliest = entry["top_logprobs"]
        assert len(likeliest) == top
        assert len({other["token"] for other in likeliest}) == top
        chances = [other["logprob"] for other in likeliest]
        assert chances == sorted(chances, reverse=True)
        assert sum(map(math.exp, chances)) <= 1
        assert not top or likeliest[0]["token"] == entry["token"]


async def test_no_log_probabilities_unless_asked() -> None:
    assert (await ask(prompt("sim-lorem", "Go."))).only.logprobs == []


async def test_a_prompt_too_long_is_refused_with_the_numbers() -> None:
    exact = "a " * (CONTEXT_TOKENS - 100)  # as many tokens, and 1 for the last space
    fits = await ask(prompt("sim-lorem", exact, cap=64))
    assert fits.only.finishes == ["stop"]
    for said, cap in ((exact, 97), ("x" * 9 * CONTEXT_TOKENS, None), ("Hi", CONTEXT_TOKENS)):
        answer = await ask(prompt("sim-lorem", said, cap=cap))
        assert isinstance(answer.error, Refusal)
        assert answer.error.code == "context_length_exceeded"
        assert answer.error.limit == CONTEXT_TOKENS
        assert answer.error.value > CONTEXT_TOKENS


async def test_without_a_cap_the_context_is_one() -> None:
    answer = await ask(prompt("sim-echo", "a " * 80_000, header="chunk=1000"))
    meters = answer.deltas[-1].meters
    assert meters is not None
    assert meters.input_tokens + meters.output_tokens == CONTEXT_TOKENS
    assert answer.only.finishes == ["length"]


async def test_input_is_counted_by_the_rules_of_the_guide() -> None:
    messages = (turn("system", "Be brief."), turn("user", "Hello, world!"))
    answer = await ask(prompt("sim-echo", *messages, tools=(MAIL,), output_schema={}))
    meters = answer.deltas[0].meters
    assert meters is not None
    # 3 + 4 of text, 3 per message, "sendMail" 1, its {} 2, the schema's {} 2
    assert (meters.input_text, meters.input_cache_read) == (3 + 4 + 6 + 1 + 2 + 2, 0)


@pytest.mark.parametrize(("cached", "read"), [(2, 2), (1_000, 5)])
async def test_cached_input_is_taken_from_the_input(cached: int, read: int) -> None:
    answer = await ask(prompt("sim-echo", "Hi there", header=f"cached={cached}"))
    for delta in answer.deltas:
        assert delta.meters is not None
        assert (delta.meters.input_cache_read, delta.meters.input_tokens) == (read, 5)


async def test_choices_advance_together() -> None:
    answer = await ask(prompt("sim-lorem", "Go.", n=3, header="tokens=2"))
    order = [event.choice for delta in answer.deltas for event in delta.events]
    assert order == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert [delta.last for delta in answer.deltas] == [False] * 8 + [True]


async def test_too_much_filler_at_once_is_refused() -> None:
    answer = await ask(prompt("sim-lorem", "Go.", n=3, header="tokens=100000"))
    assert isinstance(answer.error, Refusal)
    assert (answer.error.code, answer.error.value) == ("out_of_range", 300_000)


def test_all_models_of_the_product_are_there() -> None:
    assert set(MODELS) == {
        f"sim-{name}"
        for name in [
            "auto",
            "echo",
            "lorem",
            "tool",
            "json",
            "reasoning",
            "refusal",
            "slow",
            "stall",
            "cut",
            "error",
            "malformed",
        ]
    }

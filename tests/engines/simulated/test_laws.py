"""Laws that hold for every request: repeatable, counted exactly, capped, ended once per choice."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from portico.canon.conversation import Tool
from portico.canon.delta import Delta, Event, Finished, Reasoning, ToolArguments, ToolCallBegan
from portico.canon.prompt import Prompt
from portico.engines.simulated import tokens

from .asking import ask, asked, prompt, result

WELL = ("auto", "echo", "lorem", "tool", "json", "reasoning", "refusal", "slow")
TOOLS = (Tool("get_weather", {"properties": {"city": {"type": "string"}}}), Tool("mail", {}))
told = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.integers(1, 50),
        "reasoning": st.integers(0, 20),
        "chunk": st.integers(1, 9),
        "seed": st.integers(0, 5),
        "calls": st.integers(1, 3),
        "cached": st.integers(0, 30),
        "first_ms": st.integers(0, 500),
        "tokens_per_s": st.integers(1, 100),
    },
)


@st.composite
def requests(
    draw: st.DrawFn,
    models: tuple[str, ...] = WELL,
    stops: tuple[tuple[str, ...], ...] = ((), ("o",), ("ne t", "er")),
) -> Prompt:
    words = draw(told)
    said = draw(st.text(max_size=60) | st.sampled_from(["The weather, please.", "one two one"]))
    turns = draw(st.sampled_from([(), (result("It is 12."),)]))
    return prompt(
        f"sim-{draw(st.sampled_from(models))}",
        said.replace("[[sim", ""),
        *turns,
        n=draw(st.integers(1, 3)),
        cap=draw(st.none() | st.integers(1, 60)),
        header=" ".join(f"{name}={value}" for name, value in words.items()),
        tools=draw(st.sampled_from([(), TOOLS])),
        tool_choice=draw(st.sampled_from(["auto", "none", "required"])),
        output_schema=draw(st.sampled_from([None, {}, {"type": "array", "minItems": 3}])),
        effort=draw(st.sampled_from(["", "minimal"])),
        stop=draw(st.sampled_from(stops)),
        seed=draw(st.none() | st.integers(-3, 3)),
        top_logprobs=draw(st.none() | st.integers(0, 3)),
    )


def made_by(event: Event) -> int:
    """Tokens, by the rules of the guide."""
    match event:
        case ToolCallBegan():
            return 1
        case ToolArguments(json=json):
            return tokens.count(json)
        case Finished():
            return 0
    return tokens.count(event.text)


def totals(deltas: list[Delta]) -> list[tuple[int, int]]:
    """(text, reasoning) tokens pushed with each delta and all before it."""
    text = reasoning = 0
    found = []
    for delta in deltas:
        thought = sum(made_by(event) for event in delta.events if isinstance(event, Reasoning))
        reasoning += thought
        text += sum(map(made_by, delta.events)) - thought
        found.append((text, reasoning))
    return found


def told_totals(deltas: list[Delta]) -> list[tuple[int, int]]:
    return [
        (delta.meters.output_text, delta.meters.output_reasoning)
        for delta in deltas
        if delta.meters is not None
    ]


@given(requests())
def test_the_same_request_gives_the_same_answer(request: Prompt) -> None:
    assert asked(request) == asked(request)


@given(requests(stops=((),)))
def test_usage_is_what_was_pushed_at_every_delta(request: Prompt) -> None:
    deltas = asked(request).deltas
    assert told_totals(deltas) == totals(deltas)
    assert len({delta.meters.input_tokens for delta in deltas if delta.meters}) == 1


@given(requests())
def test_usage_never_falls_and_misses_nothing_that_was_pushed(request: Prompt) -> None:
    """A stop sequence swallows text that was made: then more is told than was pushed."""
    deltas = asked(request).deltas
    told = told_totals(deltas)
    assert told == sorted(told)
    for (text, thought), (pushed, thought_pushed) in zip(told, totals(deltas), strict=True):
        assert text >= pushed
        assert thought == thought_pushed


@given(requests())
def test_every_choice_ends_once_within_its_cap(request: Prompt) -> None:
    answer = asked(request)
    assert answer.error is None
    assert [delta.last for delta in answer.deltas] == [False] * (len(answer.deltas) - 1) + [True]
    assert set(answer.choices) == set(range(request.choices))
    for choice in answer.choices.values():
        assert len(choice.finishes) == 1
        made = choice.output_text_tokens + tokens.count(choice.reasoning)
        if request.output_tokens_max is not None:
            assert made <= request.output_tokens_max
        if choice.finishes == ["length"]:
            assert made == request.output_tokens_max
        for stop in request.conversation().stop:
            assert stop not in choice.text
    assert answer.deltas[-1].finish == answer.choices[0].finishes[0]


@given(requests((*WELL, "cut", "error", "malformed"), stops=((),)), st.integers(1, 12))
def test_a_hang_up_at_any_delta_leaves_what_was_pushed(request: Prompt, after: int) -> None:
    whole = asked(request)
    cut = asyncio.run(ask(request, hang_up_after=after))
    assert cut.deltas == whole.deltas[:after], "nothing more comes"
    assert told_totals(cut.deltas) == totals(cut.deltas)


@given(requests(), st.integers(1, 9))
def test_the_size_of_the_deltas_changes_nothing_that_is_said(request: Prompt, chunk: int) -> None:
    one = asked(request)
    request.hints["x-portico-sim"] = request.hints.get("x-portico-sim", "") + f" chunk={chunk}"
    other = asked(request)
    assert one.choices == other.choices
    assert told_totals(one.deltas)[-1] == told_totals(other.deltas)[-1]

"""A request in bytes, an answer in bytes: what is bounded, what is refused, what is said."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from openai._models import construct_type
from openai.types import ModerationCreateResponse
from openai.types.moderation import Categories, CategoryAppliedInputTypes, CategoryScores

from portico import errors
from portico.admission.counts import CountLimits, Counts
from portico.admission.line import QueueLimits
from portico.callers.model import Caller
from portico.canon.moderation import CATEGORIES
from portico.canon.usage import Meters
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving, Left
from portico.rates.model import Left as LeftOf
from portico.rates.model import Standing
from portico.safety.guard.guard import Guard
from portico.safety.pack import NAME, pack
from portico.safety.rules import PIECE_CHARACTERS
from portico.safety.service import Answered, InputLimits, Moderation
from tests.engines.transport.upstream import answering, sized
from tests.safety.guards import (
    LLAMA_GUARD,
    TERMS,
    THAT_SEES,
    chatted,
    each,
    guarded,
    judged,
    result,
)

pytestmark = pytest.mark.anyio

CALLER = Caller("key_a", "proj_a", "org_a", "live", 8)
IMAGE = "data:image/png;base64,iVBORw0KGgo="
DOWN = answering(sized(b"{}", status=b"500 No"))
WATCHED = f"{NAME}+watch"


class Allowed:
    """What was taken of limits per minute."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.settled: list[Meters] = []
        self.refuses: Refusal | None = None

    async def take(self, caller: Caller, model: str, input_tokens: int) -> Any:
        if self.refuses is not None:
            raise self.refuses
        self.taken.append((model, input_tokens))
        return self

    @property
    def standing(self) -> Standing:
        return Standing(0, requests=LeftOf(60, 59, 1.0))

    def settle(self, meters: Meters) -> None:
        self.settled.append(meters)


class Desk:
    def __init__(self, guard: Guard | None = None, per_key: int = 9, characters: int = 50_000):
        self.allowed = Allowed()
        self.counts = Counts(CountLimits(per_key, 9, QueueLimits(0, 5.0)), SystemClock(), "judged")
        limits = InputLimits(10, characters)
        self.moderation = Moderation(pack(), guard, self.allowed, self.counts, limits)

    async def answer(self, caller: Caller = CALLER, **body: Any) -> Answered:
        raw = json.dumps(body).encode()
        answered = await self.moderation.answer(raw, caller, Leaving())
        assert not self.counts._shares.open, "places come back"
        assert len(self.allowed.settled) == len(self.allowed.taken)
        return answered

    async def ask(self, caller: Caller = CALLER, **body: Any) -> Any:
        return json.loads((await self.answer(caller, **body)).body)

    async def refused(self, caller: Caller = CALLER, **body: Any) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            await self.answer(caller, **body)
        assert not self.counts._shares.open
        return refusal.value


# --- what is said ---------------------------------------------------------------------------


async def test_every_category_is_there_as_the_sdk_names_it() -> None:
    told = await Desk().ask(input="I will kill you.")
    read: Any = construct_type(type_=ModerationCreateResponse, value=told)
    assert isinstance(read, ModerationCreateResponse)
    (one,) = read.results
    for part, kind in (
        (one.categories, Categories),
        (one.category_scores, CategoryScores),
        (one.category_applied_input_types, CategoryAppliedInputTypes),
    ):
        assert isinstance(part, kind)
        names = {field.alias or name for name, field in kind.model_fields.items()}
        assert names == set(CATEGORIES)
    assert one.flagged is True
    assert one.categories.harassment_threatening is True
    assert one.category_scores.harassment == 1.0
    assert one.category_scores.sexual is None
    assert one.category_applied_input_types.sexual == []


async def test_where_a_guard_scores_all_of_them_the_sdk_s_strictest_reading_holds() -> None:
    async with guarded(each(judged(result(violence=0.7)))) as scene:
        told = await Desk(scene.guard).ask(input="I will kill you.")
    read = ModerationCreateResponse.model_validate(told)
    assert read.model == WATCHED
    assert read.results[0].category_scores.violence == 0.7
    assert read.results[0].category_scores.harassment_threatening == 1.0


async def test_what_nobody_scored_is_null_and_named() -> None:
    told = await Desk().ask(input="Hello")
    (one,) = told["results"]
    lacking = [name for name, score in one["category_scores"].items() if score is None]
    assert lacking == one["portico"]["not_scored"]
    assert lacking == [name for name, flagged in one["categories"].items() if flagged is None]
    assert lacking == [name for name, of in one["category_applied_input_types"].items() if not of]
    assert set(lacking) == {"sexual", "sexual/minors", "violence", "violence/graphic"}
    assert one["flagged"] is False


async def test_a_hint_is_half_and_flags_nothing() -> None:
    (one,) = (await Desk().ask(input="I know where you live."))["results"]
    assert one["category_scores"]["harassment/threatening"] == 0.5
    assert one["category_scores"]["harassment"] == 0.5
    assert one["flagged"] is False
    assert [rule["rule"] for rule in one["portico"]["rules"]] == ["harassment/veiled-threat"]


async def test_what_a_text_gives_away_is_told_apart_and_flags_nothing() -> None:
    (one,) = (await Desk().ask(input="Write to ada@example.com"))["results"]
    assert one["portico"]["data"] == {"secrets": False, "personal_data": True}
    assert one["flagged"] is False


async def test_the_text_is_nowhere_in_the_answer() -> None:
    said = "I will kill you, 4111 1111 1111 1111"
    answered = await Desk().answer(input=said)
    for word in ("kill", "4111", "1111"):
        assert word not in answered.body.decode().split('"results"')[1]


async def test_each_text_has_its_own_result_and_parts_have_one() -> None:
    desk = Desk()
    told = await desk.ask(input=["I will kill you.", "Hello", ""])
    assert [one["flagged"] for one in told["results"]] == [True, False, False]
    told = await desk.ask(
        input=[{"type": "text", "text": "Hello"}, {"type": "text", "text": "kill yourself."}]
    )
    assert [one["flagged"] for one in told["results"]] == [True]


@pytest.mark.parametrize("model", [None, "omni-moderation-latest", "text-moderation-stable", NAME])
async def test_openai_s_names_mean_whatever_is_here(model: str | None) -> None:
    told = await Desk().ask(input="x", model=model)
    assert told["model"] == NAME
    assert told["id"].startswith("modr_")


async def test_rules_alone_where_they_are_named() -> None:
    async with guarded(DOWN) as scene:
        told = await Desk(scene.guard).ask(input="x", model=NAME)
        assert scene.asked == []
    assert told["model"] == NAME


async def test_the_stricter_of_both_counts() -> None:
    async with guarded(each(chatted("unsafe\nS6"), chatted("safe")), LLAMA_GUARD) as scene:
        desk = Desk(scene.guard)
        (advice,) = (await desk.ask(input="Take this pill"))["results"]
        (threat,) = (await desk.ask(input="I will kill you.", model=WATCHED))["results"]
    assert advice["flagged"] is True, "a guard's word that has no category here counts, too"
    assert not any(advice["categories"].values())
    assert advice["portico"]["guard"] == ["S6"]
    assert threat["flagged"] is True
    assert threat["category_scores"]["violence"] == 0.0
    assert threat["category_scores"]["violence/graphic"] is None


async def test_images_are_not_scored_and_that_is_said() -> None:
    desk = Desk()
    part = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    answered = await desk.answer(input=[part])
    (one,) = json.loads(answered.body)["results"]
    assert one["flagged"] is None
    assert set(one["categories"].values()) == {None}
    assert answered.warnings == ('not_supported; field="input.image_url"; action=dropped',)


async def test_images_go_to_a_guard_that_sees() -> None:
    part = {"type": "image_url", "image_url": {"url": IMAGE}}
    seen = {**result(violence=0.9)}
    seen["category_applied_input_types"] = {"violence": ["image"]}
    async with guarded(each(judged(seen)), THAT_SEES) as scene:
        answered = await Desk(scene.guard).answer(input=[{"type": "text", "text": "x"}, part])
    (one,) = json.loads(answered.body)["results"]
    assert one["category_applied_input_types"]["violence"] == ["image"]
    assert one["category_applied_input_types"]["hate"] == ["text"]
    assert one["flagged"] is True
    assert answered.warnings == ()


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "input"),
        ({"input": 3}, "invalid_type", "input"),
        ({"input": None}, "invalid_type", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ["a", 3]}, "invalid_type", "input[1]"),
        ({"input": [["a"]]}, "invalid_type", "input[0]"),
        ({"input": ["a", {"type": "text", "text": "b"}]}, "invalid_type", "input[1]"),
        ({"input": [{"type": "text", "text": "b"}, "a"]}, "invalid_type", "input[1]"),
        ({"input": [{"type": "audio"}]}, "invalid_value", "input[0].type"),
        ({"input": [{"text": "b"}]}, "missing_field", "input[0].type"),
        ({"input": [{"type": "text"}]}, "missing_field", "input[0].text"),
        ({"input": [{"type": "image_url"}]}, "missing_field", "input[0].image_url"),
        ({"input": ["a"] * 11}, "out_of_range", "input"),
        ({"input": "a", "model": 3}, "invalid_type", "model"),
        ({"input": "a" * 50_001}, "out_of_range", "input"),
        ({"input": ["a" * 25_001, "b" * 25_001]}, "out_of_range", "input"),
        (
            {"input": [{"type": "image_url", "image_url": {"url": IMAGE}}] * 9},
            "out_of_range",
            "input",
        ),
    ],
)
async def test_400_for_a_body_that_is_none(body: Any, code: str, field: str) -> None:
    refusal = await Desk().refused(**body)
    assert (refusal.status, refusal.code, refusal.field) == (400, code, field)


async def test_404_for_a_model_that_judges_nothing_here() -> None:
    refusal = await Desk().refused(input="x", model="gpt-5")
    assert (refusal.status, refusal.code) == (404, "model_not_found")
    assert NAME in refusal.limit
    assert WATCHED not in refusal.limit


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.com/cat.png", "media_url_not_supported"),
        ("data:image/png;base64,!!", "invalid_media"),
        ("data:image/png;base64,aGVsbG8=", "invalid_media"),
    ],
)
async def test_400_for_an_image_that_a_guard_could_not_be_shown(url: str, code: str) -> None:
    async with guarded(DOWN, THAT_SEES) as scene:
        part = {"type": "image_url", "image_url": {"url": url}}
        refusal = await Desk(scene.guard).refused(input=[part])
        assert scene.asked == []
    assert (refusal.status, refusal.code) == (400, code)


async def test_400_for_a_strict_key_where_something_is_not_looked_at() -> None:
    strict = replace(CALLER, compatibility="strict")
    part = {"type": "image_url", "image_url": {"url": IMAGE}}
    assert (await Desk().refused(strict, input=[part])).code == "unsupported_feature"
    assert (await Desk().refused(strict, input="x", user="me")).code == "unsupported_feature"


@pytest.mark.parametrize(
    ("caller", "use", "allowed"),
    [
        (replace(CALLER, data_use="own"), "no_training", False),
        (replace(CALLER, data_use="no_training"), "no_training", True),
        (replace(CALLER, data_use="no_training"), "may_train", False),
        (replace(CALLER, retention="zero"), "no_training", False),
        (replace(CALLER, retention="zero"), "own", True),
    ],
)
async def test_403_where_a_project_keeps_its_texts_from_such_a_guard(
    caller: Caller, use: Any, allowed: bool
) -> None:
    async with guarded(each(judged(result())), terms=replace(TERMS, data_use=use)) as scene:
        desk = Desk(scene.guard)
        if allowed:
            assert (await desk.ask(caller, input="x"))["model"] == WATCHED
            return
        refusal = await desk.refused(caller, input="x")
        assert (refusal.status, refusal.code) == (403, "data_use_not_allowed")
        assert (await desk.ask(caller, input="x", model=NAME))["model"] == NAME
        assert scene.asked == []


async def test_503_when_the_guard_is_away_and_closed() -> None:
    async with guarded(DOWN) as scene:
        refusal = await Desk(scene.guard).refused(input="I will kill you.")
    assert (refusal.status, refusal.code) == (503, "moderation_unavailable")
    assert refusal.entry.retryable
    assert refusal.retry_after_ms == 1_000
    assert "127.0.0.1" not in refusal.told


async def test_the_rules_answer_alone_when_the_guard_is_away_and_open() -> None:
    async with guarded(DOWN, terms=replace(TERMS, on_error="open")) as scene:
        answered = await Desk(scene.guard).answer(input="I will kill you.")
    told = json.loads(answered.body)
    assert told["model"] == NAME, "the answer says who has judged"
    assert told["results"][0]["flagged"] is True
    assert told["results"][0]["category_scores"]["sexual"] is None
    assert answered.warnings == ('guard_unavailable; field="input"; action=dropped',)


async def test_400_when_the_guard_does_not_take_the_text_and_another_try_would_not_help() -> None:
    async with guarded(answering(sized(b"{}", status=b"400 Too long"))) as scene:
        refusal = await Desk(scene.guard).refused(input="x")
    assert (refusal.status, refusal.code, refusal.field) == (400, "upstream_refused", "input")
    assert not refusal.entry.retryable


async def test_429_over_a_limit_per_minute_and_nothing_is_judged() -> None:
    async with guarded(DOWN) as scene:
        desk = Desk(scene.guard)
        desk.allowed.refuses = errors.RATE_LIMITS["requests"]("too many")
        assert (await desk.refused(input="x")).status == 429
        assert scene.asked == []


async def test_429_for_a_key_that_asks_too_much_at_once() -> None:
    async with guarded(each()) as scene:
        desk = Desk(scene.guard, per_key=1)
        leaving = Leaving()
        first = asyncio.create_task(desk.moderation.answer(b'{"input": "x"}', CALLER, leaving))
        await scene.upstream.until_asked(1)
        with pytest.raises(Refusal) as refusal:
            await desk.moderation.answer(b'{"input": "x"}', CALLER, Leaving())
        assert (refusal.value.status, refusal.value.code) == (429, "concurrency_exceeded")
        assert "1 judged open" in refusal.value.message
        leaving.leave("gone")
        with pytest.raises(Left):
            await first
        await scene.upstream.until_ended(1)
    assert desk.counts._shares.open == {}
    assert len(desk.allowed.settled) == 2


async def test_a_request_is_counted_and_no_tokens() -> None:
    desk = Desk()
    answered = await desk.answer(input="x")
    assert desk.allowed.taken == [(NAME, 0)]
    assert b"x-ratelimit-remaining-requests: 59\r\n" in answered.lines


@pytest.mark.parametrize("text", ["word " * 10_000, "\ufdfa" * 10_000, ["word " * 900] * 10])
async def test_a_long_text_lets_others_run(text: Any) -> None:
    desk, turns = Desk(), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await desk.answer(input=text)
    beside.cancel()
    texts = [text] if isinstance(text, str) else text
    steps = sum(pack().read(one).steps for one in texts)
    assert steps > 4 * PIECE_CHARACTERS
    assert turns >= steps // (3 * PIECE_CHARACTERS)


async def test_a_line_of_a_batch_is_judged_without_limits_of_its_own() -> None:
    desk = Desk(per_key=0)
    desk.allowed.refuses = errors.RATE_LIMITS["requests"]("too many")
    answered = await desk.moderation.judge(b'{"input": "I will kill you."}', CALLER)
    assert json.loads(answered.body)["results"][0]["flagged"] is True
    assert answered.lines == b""
    with pytest.raises(Refusal) as refusal:
        await desk.moderation.judge(b'{"input": 3}', CALLER)
    assert refusal.value.code == "invalid_type"


async def test_a_line_that_is_cancelled_hangs_up_on_the_guard() -> None:
    async with guarded(each()) as scene:
        desk = Desk(scene.guard)
        line = asyncio.create_task(desk.moderation.judge(b'{"input": "x"}', CALLER))
        await scene.upstream.until_asked(1)
        line.cancel()
        await asyncio.wait([line])
        await scene.upstream.until_ended(1)
    assert scene.watching.results == ["cut"]


async def test_the_higher_score_of_both_is_told() -> None:
    async with guarded(each(judged(result(hate=0.9, harassment=0.2)))) as scene:
        (one,) = (await Desk(scene.guard).ask(input="You are an idiot."))["results"]
    assert one["category_scores"]["hate"] == 0.9
    assert one["category_scores"]["harassment"] == 1.0
    assert one["categories"]["harassment"] is True

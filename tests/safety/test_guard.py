"""A guard is believed only what it says in its form, in time, and while it works."""

import asyncio
import json
from dataclasses import replace

import pytest

from portico.canon.moderation import CATEGORIES, Item
from portico.dialects.openai_moderations.answer import written
from portico.routing.health import FAILURES_IN_A_ROW
from portico.safety.guard.forms import LLAMA_GUARD_3, Moderations, SafeOrUnsafe, taxonomy_of
from portico.safety.guard.guard import GuardAway
from tests.engines.transport.upstream import Peer, answering, sized
from tests.safety.guards import (
    AS_MODERATIONS,
    LLAMA_GUARD,
    TERMS,
    THAT_SEES,
    by_text,
    chatted,
    each,
    flagged,
    guarded,
    items,
    judged,
    result,
)

pytestmark = pytest.mark.anyio

IMAGE = "data:image/png;base64,iVBORw0KGgo="


async def test_texts_go_to_its_moderations_in_one_call() -> None:
    async with guarded(each(judged(result(violence=0.9), result()))) as scene:
        first, second = await scene.guard.judge(items("one", "two"))
        (request,) = scene.upstream.requests
    assert request.line == b"POST /v1/moderations HTTP/1.1"
    assert request.values(b"authorization") == [b"Bearer sk-guard"]
    assert scene.asked == [{"input": ["one", "two"], "model": "omni"}]
    assert first.flagged is True
    assert first.scored["violence"].score == 0.9
    assert second.flagged is False
    assert set(second.scored) == set(CATEGORIES)
    assert scene.watching.results == ["answered"]


async def test_images_go_along_only_where_it_sees() -> None:
    shown = [Item("input", "a text", (IMAGE,))]
    async with guarded(each(judged(result(sexual=1.0))), THAT_SEES) as scene:
        await scene.guard.judge(shown)
        assert scene.asked[0]["input"] == [
            {"type": "text", "text": "a text"},
            {"type": "image_url", "image_url": {"url": IMAGE}},
        ]
    async with guarded(each(judged(result())), AS_MODERATIONS) as scene:
        await scene.guard.judge(shown)
        assert scene.asked[0]["input"] == ["a text"]
        (nothing,) = await scene.guard.judge([Item("input", None, (IMAGE,))])
        assert nothing.flagged is None
        assert len(scene.asked) == 1, "where there is no text, it is not asked"


async def test_a_chat_that_says_safe_or_unsafe() -> None:
    answers = {
        "fine": chatted("\n\nsafe"),
        "bad": chatted("unsafe\nS1,S10"),
        "odd": chatted(" UNSAFE\nS6, S99,<script>"),
    }
    async with guarded(by_text(answers), LLAMA_GUARD) as scene:
        fine, bad, odd, none = await scene.guard.judge(
            [*items("fine", "bad", "odd"), Item("input", None, (IMAGE,))]
        )
    assert {request.line for request in scene.upstream.requests} == {
        b"POST /v1/chat/completions HTTP/1.1"
    }
    assert all(asked["temperature"] == 0 and asked["max_tokens"] > 0 for asked in scene.asked)
    assert flagged([fine, bad, odd, none]) == [False, True, True, None]
    assert {name for name, scored in bad.scored.items() if scored.flagged} == {
        *("illicit", "illicit/violent", "violence", "hate")
    }
    assert not any(scored.flagged for scored in odd.scored.values())
    assert (bad.guard, odd.guard) == (("S1", "S10"), ("S6", "S99"))
    assert "harassment" not in fine.scored, "it has no word for it"


GARBAGE = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}}",
    b"not even HTTP\r\n\r\n",
    sized(b""),
    sized(b"null"),
    sized(b"[" * 100_000),
    sized(b'{"results": []}'),
    judged(result(), result()),
    judged({**result(), "category_scores": {"hate": 7}}),
    judged({**result(), "category_scores": {}}),
    judged({**result(), "categories": "all of them"}),
    sized(b'{"error": {"message": "no"}}'),
]
CHATTER = [
    sized(b"{}"),
    chatted(None),
    chatted(""),
    chatted("As a language model I cannot judge this."),
    chatted("safely said, it is unsafe"),
    sized(b'{"choices": []}'),
]


@pytest.mark.parametrize("said", GARBAGE)
async def test_garbage_is_no_judgement(said: bytes) -> None:
    async with guarded(each(said)) as scene:
        with pytest.raises(GuardAway):
            await scene.guard.judge(items("a"))
    assert scene.watching.results == ["failed"]


@pytest.mark.parametrize("said", CHATTER)
async def test_chatter_is_no_judgement(said: bytes) -> None:
    async with guarded(each(said), LLAMA_GUARD) as scene:
        with pytest.raises(GuardAway):
            await scene.guard.judge(items("a"))
    assert scene.watching.results == ["failed"]


async def test_safe_is_safe_whatever_is_said_behind_it() -> None:
    async with guarded(each(chatted("safe\nS1,S10")), LLAMA_GUARD) as scene:
        (found,) = await scene.guard.judge(items("a"))
    assert found.flagged is False
    assert found.guard == ()
    assert not any(scored.flagged for scored in found.scored.values())


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b" " * 65_536)

    async with guarded(endless) as scene:
        with pytest.raises(GuardAway):
            await scene.guard.judge(items("a"))
        await scene.upstream.until_ended(1)


async def test_a_guard_that_hangs_is_hung_up_on_within_its_budget() -> None:
    brief = replace(TERMS, budget_s=0.05)
    async with guarded(each(), terms=brief) as scene:
        with pytest.raises(GuardAway, match=r"too long|first_byte|total"):
            await scene.guard.judge(items("a"))
        await scene.upstream.until_ended(1)
    assert scene.watching.results == ["timed_out"]


async def test_waiting_for_a_place_counts_to_the_budget() -> None:
    brief = replace(TERMS, budget_s=0.05, at_once=1)
    async with guarded(each(), LLAMA_GUARD, brief) as scene:
        with pytest.raises(GuardAway):
            await scene.guard.judge(items("a", "b", "c"))
        assert len(scene.asked) == 1, "the others never had a place"


async def test_calls_that_are_each_in_time_are_not_so_together() -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.03)  # what a slow model is like
            await peer.send(chatted("safe"))

    brief = replace(TERMS, budget_s=0.1, at_once=1)
    async with guarded(slow, LLAMA_GUARD, brief) as scene:
        with pytest.raises(GuardAway, match="too long"):
            await scene.guard.judge(items(*"abcdefghijklmnop"))
        assert len(scene.asked) <= 4
    assert scene.watching.results == ["timed_out"]


async def test_no_more_calls_at_once_than_it_takes() -> None:
    running, most = 0, 0
    full = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal running, most
        while True:
            await peer.request()
            running += 1
            most = max(most, running)
            if running == 2:
                full.set()
            await full.wait()
            await asyncio.sleep(0)
            running -= 1
            await peer.send(chatted("safe"))

    async with guarded(script, LLAMA_GUARD, replace(TERMS, at_once=2)) as scene:
        found = await scene.guard.judge(items(*"abcdef"))
    assert flagged(found) == [False] * 6
    assert most == 2


async def test_one_failure_ends_the_other_calls() -> None:
    async def script(peer: Peer) -> None:
        request = await peer.request()
        if json.loads(request.body)["messages"][0]["content"] == "bad":
            await peer.send(sized(b"", status=b"500 No"))
        else:
            await peer.until_client_closes()

    async with guarded(script, LLAMA_GUARD) as scene:
        with pytest.raises(GuardAway, match="500"):
            await scene.guard.judge(items("slow", "bad", "slow too"))
        await scene.upstream.until_ended(len(scene.upstream.peers))


NO = sized(b"{}", status=b"500 Internal Server Error")
YES = judged(result())


async def test_after_failures_it_is_left_alone_and_one_request_finds_out() -> None:
    async with guarded(each(*[NO] * FAILURES_IN_A_ROW, NO, YES, YES)) as scene:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(GuardAway, match="500"):
                await scene.guard.judge(items("a"))
        with pytest.raises(GuardAway, match="left alone"):
            await scene.guard.judge(items("a"))
        assert len(scene.asked) == FAILURES_IN_A_ROW
        scene.clock.now_s += 60
        with pytest.raises(GuardAway, match="500"):
            await scene.guard.judge(items("a"))
        with pytest.raises(GuardAway, match="left alone"):
            await scene.guard.judge(items("a"))
        scene.clock.now_s += 60
        for _ in range(2):
            assert flagged(await scene.guard.judge(items("a"))) == [False]


async def test_while_one_request_finds_out_nobody_else_asks() -> None:
    go_on = asyncio.Event()
    answers = [NO] * FAILURES_IN_A_ROW

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if answers:
                await peer.send(answers.pop())
                continue
            await go_on.wait()
            await peer.send(YES)

    async with guarded(script) as scene:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(GuardAway):
                await scene.guard.judge(items("a"))
        scene.clock.now_s += 60
        first = asyncio.create_task(scene.guard.judge(items("a")))
        await scene.upstream.until_asked(FAILURES_IN_A_ROW + 1)
        with pytest.raises(GuardAway, match="left alone"):
            await scene.guard.judge(items("a"))
        go_on.set()
        assert flagged(await first) == [False]


async def test_who_leaves_while_finding_out_leaves_it_to_the_next() -> None:
    async with guarded(each(*[NO] * FAILURES_IN_A_ROW)) as scene:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(GuardAway):
                await scene.guard.judge(items("a"))
        scene.clock.now_s += 60
        for asked in (1, 2):
            task = asyncio.create_task(scene.guard.judge(items("a")))
            await scene.upstream.until_asked(FAILURES_IN_A_ROW + asked)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
    assert scene.watching.results[-2:] == ["cut", "cut"]


@pytest.mark.parametrize("status", [b"400 Bad Request", b"413 Too Large", b"422 No"])
async def test_a_text_it_refuses_says_nothing_about_the_guard(status: bytes) -> None:
    async with guarded(answering(sized(b"{}", status=status))) as scene:
        for _ in range(2 * FAILURES_IN_A_ROW):
            with pytest.raises(GuardAway) as away:
                await scene.guard.judge(items("a"))
            assert away.value.refused
    assert set(scene.watching.results) == {"refused"}


@pytest.mark.parametrize("status", [b"401 No", b"404 No", b"429 Busy", b"302 There", b"503 Busy"])
async def test_any_other_status_is_the_guards_failure(status: bytes) -> None:
    async with guarded(answering(sized(b"{}", status=status))) as scene:
        with pytest.raises(GuardAway) as away:
            await scene.guard.judge(items("a"))
        assert not away.value.refused


async def test_another_portico_can_be_the_guard() -> None:
    """What it did not score is not scored here."""
    theirs = Moderations("", sees=False)
    async with guarded(each(judged(result(hate=1.0)))) as scene:
        found = await scene.guard.judge(items("a"))
    some = {name: found[0].scored[name] for name in ("hate", "harassment")}
    body = written("modr_1", "portico-rules-1", [replace(found[0], scored=some)])
    assert theirs.read(body, items("a"))[0].scored.keys() == some.keys()
    assert "model" not in json.loads(theirs.body(items("a")))


def test_a_taxonomy_of_ones_own() -> None:
    found = taxonomy_of(["O1=hate+harassment", "O2="])
    assert found == {"O1": ("harassment", "hate"), "O2": ()}
    assert taxonomy_of([]) is LLAMA_GUARD_3
    form = SafeOrUnsafe("m", found)
    (read,) = form.read(chatted("unsafe\nO2").partition(b"\r\n\r\n")[2], items("a"))
    assert read.flagged
    assert set(read.scored) == {"harassment", "hate"}


@pytest.mark.parametrize(
    ("line", "why"), [("S1", "is not like"), ("=hate", "is not like"), ("S1=rude", "no category")]
)
def test_a_taxonomy_that_is_none_is_said(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        taxonomy_of([line])


def test_llama_guard_3_is_known_whole() -> None:
    assert list(LLAMA_GUARD_3) == [f"S{number}" for number in range(1, 15)]

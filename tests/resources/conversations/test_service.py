"""Conversations and what is said in them: made, listed, changed, deleted; of one project."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from portico import errors
from portico.callers.model import Caller
from portico.db.database import Database
from portico.resources.conversations.service import Limits
from portico.resources.pages import Window
from tests.resources.attic import (
    LIMITS,
    MINE,
    NEIGHBOUR,
    NOTHING_KEPT,
    STRANGER,
    Attic,
    attic,
    number,
    of_days,
    said,
)

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000
ALL = Window("", "", 100, newest_first=False)


@pytest.fixture
async def mine(database: Database) -> AsyncIterator[Attic]:
    async with attic(database) as made:
        yield made


async def ids(mine: Attic, conversation_id: str, window: Window = ALL) -> list[str]:
    return [entry.id for entry in await mine.conversations.page(MINE, conversation_id, window)]


async def refused(asked: Awaitable[Any]) -> errors.Refusal:
    with pytest.raises(errors.Refusal) as found:
        await asked
    return found.value


async def test_items_stand_in_the_order_they_were_added_each_with_an_id(mine: Attic) -> None:
    made = await mine.conversations.make(MINE, [said("a", id="mine"), said("b", id="mine")], {})
    added = await mine.conversations.add(MINE, made.id, [said("c"), {"type": "reasoning"}])
    listed = await ids(mine, made.id)
    assert len(set(listed)) == 4
    assert [json.loads(item)["id"] for item in added] == listed[2:]
    assert await mine.words(conversation=made.id) == ["a", "b", "c", ""]


async def test_pages_in_both_orders_whatever_goes_meanwhile(mine: Attic) -> None:
    made = await mine.conversations.make(MINE, [said(str(at)) for at in range(10)], {})
    listed = await ids(mine, made.id)
    for newest_first, expected in ((False, listed), (True, listed[::-1])):
        seen: list[str] = []
        while True:
            window = Window(seen[-1] if seen else "", "", 3, newest_first=newest_first)
            page = await ids(mine, made.id, window)
            seen += page[:3]
            if len(page) <= 3:
                break
        assert seen == expected
    await mine.conversations.delete_item(MINE, made.id, listed[3])
    assert await ids(mine, made.id, Window(listed[1], "", 2, newest_first=False)) == [
        listed[2],
        *listed[4:6],
    ]
    refusal = await refused(ids(mine, made.id, Window(listed[3], "", 2)))
    assert (refusal.code, refusal.field) == ("invalid_value", "after")


async def test_deleted_is_deleted_with_all_that_was_said(mine: Attic) -> None:
    made = await mine.conversations.make(MINE, [said("a")], {})
    await mine.conversations.delete(MINE, made.id)
    assert (mine.count("conversation"), mine.count("conversation_item")) == (0, 0)
    assert (await refused(mine.conversations.delete(MINE, made.id))).status == 404


async def test_metadata_are_replaced(mine: Attic) -> None:
    made = await mine.conversations.make(MINE, [], {"a": "1"})
    changed = await mine.conversations.change(MINE, made.id, {"b": "2"})
    assert changed.metadata == {"b": "2"}
    assert await mine.conversations.get(MINE, made.id) == changed


WAYS: dict[str, Callable[[Attic, Caller, str], Awaitable[Any]]] = {
    "get": lambda mine, by, of: mine.conversations.get(by, of),
    "change": lambda mine, by, of: mine.conversations.change(by, of, {}),
    "delete": lambda mine, by, of: mine.conversations.delete(by, of),
    "add": lambda mine, by, of: mine.conversations.add(by, of, [said("x")]),
    "list": lambda mine, by, of: mine.conversations.page(by, of, ALL),
    "item": lambda mine, by, of: mine.conversations.item(by, of, "msg_1"),
    "delete item": lambda mine, by, of: mine.conversations.delete_item(by, of, "msg_1"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_404_somebody_elses_expired_or_none_is_one_answer(mine: Attic, way: str) -> None:
    made = await mine.conversations.make(MINE, [said("a")], {"a": "1"})
    expired = await mine.conversations.make(of_days(1), [said("a")], {})
    mine.clock.now_ms += DAY_MS
    told = []
    for by, of in (
        (NEIGHBOUR, made.id),
        (STRANGER, made.id),
        (MINE, expired.id),
        (MINE, f"conv_{number(1)}"),
    ):
        refusal = await refused(WAYS[way](mine, by, of))
        told.append((refusal.code, refusal.field, refusal.message.replace(of, "ID")))
    assert len(set(told)) == 1
    assert told[0][0] == "resource_not_found"
    assert await ids(mine, made.id)
    assert (await mine.conversations.get(MINE, made.id)).metadata == {"a": "1"}


@pytest.mark.parametrize(
    ("days", "keeps", "expected"),
    [(None, None, None), (None, 7, 7), (3, None, 3), (3, 7, 3), (9, 7, 7)],
)
async def test_days_of_the_settings_and_of_the_project_the_fewer_count(
    database: Database, days: int | None, keeps: int | None, expected: int | None
) -> None:
    limits = replace(LIMITS, keep_ms=None if days is None else days * DAY_MS)
    async with attic(database, limits=limits) as mine:
        made = await mine.conversations.make(MINE if keeps is None else of_days(keeps), [], {})
        spans = None if expected is None else mine.clock.now_ms + expected * DAY_MS
        assert made.expires_at_ms == spans


async def test_403_zero_retention_has_none(mine: Attic) -> None:
    made = await mine.conversations.make(MINE, [], {})
    for asked in (
        mine.conversations.make(NOTHING_KEPT, [], {}),
        mine.conversations.add(NOTHING_KEPT, made.id, [said("x")]),
    ):
        assert (await refused(asked)).code == "zero_retention"


async def test_403_zero_retention_decided_a_moment_ago_has_none_either(mine: Attic) -> None:
    """Whatever the key was known as."""
    made = await mine.conversations.make(MINE, [], {})
    sql = "UPDATE project SET retention = 'zero' WHERE id = 'proj_a'"
    mine.database.write(lambda c: c.exec_driver_sql(sql))
    for asked in (
        mine.conversations.make(MINE, [said("x")], {}),
        mine.conversations.add(MINE, made.id, [said("x")]),
    ):
        assert (await refused(asked)).code == "zero_retention"
    assert mine.count("conversation_item") == 0


async def test_one_holds_only_so_much(database: Database) -> None:
    async with attic(database, limits=Limits(None, 3, 500)) as mine:
        made = await mine.conversations.make(MINE, [said("a"), said("b")], {})
        more = mine.conversations.add(MINE, made.id, [said("c"), said("d")])
        assert (await refused(more)).code == "out_of_range"
        much = mine.conversations.add(MINE, made.id, [said("x" * 500)])
        assert (await refused(much)).code == "body_too_large"
        assert len(await ids(mine, made.id)) == 2


async def test_409_nobody_adds_while_a_request_does(mine: Attic) -> None:
    made = await mine.conversations.make(MINE, [], {})
    body = json.dumps({"model": "m", "input": "x", "conversation": made.id}).encode()
    turn = await mine.states.open(body, MINE, "req_1")
    more = mine.conversations.add(MINE, made.id, [said("x")])
    assert (await refused(more)).code == "conversation_locked"
    mine.states.close(turn)
    await mine.writer.run(lambda _: None)
    assert await mine.conversations.add(MINE, made.id, [said("x")])

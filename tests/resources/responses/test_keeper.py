"""What is kept of an answer, however it ended, and whatever an engine said."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from portico.callers.model import Caller
from portico.canon.delta import Delta
from portico.db.database import open_database
from portico.db.transaction import Transaction
from portico.dialects.body import KEPT, STATE
from portico.dialects.openai_responses.answers.writer import Writers
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.keeping import service as keeping
from portico.keeping.model import KeptResponse
from portico.keeping.rules import ROW_BYTES
from portico.kit.sealing import Seal
from portico.resources.responses.items import identified
from portico.resources.responses.keeper import Keeper
from tests.keeping.held import held_bytes
from tests.resources.attic import DAY_MS, MINE, NOTHING_KEPT, Attic, attic, number, said

pytestmark = pytest.mark.anyio
ID = number(1)


@pytest.fixture
async def mine(tmp_path: Any) -> AsyncIterator[Attic]:
    async with attic(open_database(tmp_path, "")) as made:
        yield made


@dataclass
class Tells:
    """A writer of an answer that ends, or breaks off."""

    told: bytes

    def whole(self) -> bytes:
        return self.told

    def broken(self, status: str) -> bytes:
        return response(status=status)

    def queued(self) -> bytes:
        return response(status="queued")


def response(**more: Any) -> bytes:
    body = {"id": f"resp_{ID}", "status": "completed", "store": True, "output": [], **more}
    return json.dumps(body).encode()


async def kept(
    mine: Attic, outcome: str, told: bytes, caller: Caller = MINE, **fields: Any
) -> KeptResponse | None:
    body = json.dumps({"model": "m", "input": "Hi", **fields}).encode()
    turn = await mine.states.open(body, caller, f"req_{ID}")
    if turn.keeper is None:
        return None
    assert isinstance(turn.keeper, Keeper)
    turn.keeper.follow(Tells(told), "m")
    if outcome == "completed":
        turn.keeper.compose(b"")
    return turn.keeper.end(outcome)


async def test_what_is_kept_counts_for_its_project_once_it_has_ended(mine: Attic) -> None:
    turn = await mine.states.open(b'{"input": "Hi"}', MINE, f"req_{ID}")
    assert isinstance(turn.keeper, Keeper)
    turn.keeper.follow(Tells(response()), "m")
    mine.states.close(turn)
    assert held_bytes(mine.room, MINE.project_id) == 0, "nothing was kept of it"
    turn.keeper.compose(b"")
    made = turn.keeper.end("completed")
    mine.states.close(turn)
    assert made is not None
    size = len(made.input) + len(made.body) + ROW_BYTES
    assert held_bytes(mine.room, MINE.project_id) == size


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("completed", "completed"),
        ("client_gone", "cancelled"),
        ("revoked", "cancelled"),
        ("drained", "failed"),
        ("upstream_failed", "failed"),
        ("internal_error", "failed"),
    ],
)
async def test_however_it_ends_it_is_kept_as_that(mine: Attic, outcome: str, state: str) -> None:
    found = await kept(mine, outcome, response())
    assert found is not None
    assert (found.id, found.state, found.project_id) == (f"resp_{ID}", state, MINE.project_id)
    (item,) = json.loads(found.input)
    assert (item["id"], item["content"][0]["text"]) == (f"msg_{ID}i0", "Hi")


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"no JSON",
        b"[]",
        response(status="in_progress"),
        response(status="odd"),
        response(id="x" * 129),
        response(id="with a blank"),
        response(id=5),
        response(output="odd"),
        b'{"status":"completed"}',
        b"\xff",
    ],
)
async def test_what_is_no_response_is_not_kept_and_hinders_nothing(
    mine: Attic, told: bytes
) -> None:
    assert await kept(mine, "completed", told) is None


async def test_an_engines_own_answer_is_kept_as_one_that_is(mine: Attic) -> None:
    """The engine is asked to store nothing, and says so; here it is."""
    found = await kept(mine, "completed", response(store=False, strange=[1.5]))
    assert found is not None
    assert json.loads(found.body) == json.loads(response(strange=[1.5]))


def events(*kinds: str, **more: Any) -> Delta:
    """An engine's own."""
    told = {"id": "resp_theirs", "status": "in_progress", "output": [], **more}
    written = [
        f"event: {kind}\ndata: {json.dumps({'type': kind, 'response': told})}\n\n" for kind in kinds
    ]
    return Delta(raw="".join(written).encode())


@pytest.mark.parametrize(
    ("outcome", "last", "state"),
    [
        ("completed", events("response.completed", status="completed"), "completed"),
        ("client_gone", events("response.output_text.delta"), "cancelled"),
        ("upstream_failed", Delta(raw=b'event: x\ndata: {"response.odd\n\n'), "failed"),
    ],
)
async def test_an_engines_own_stream_is_kept_by_the_id_that_its_caller_saw(
    mine: Attic, outcome: str, last: Delta, state: str
) -> None:
    body = json.dumps({"model": "m", "input": "Hi", "stream": True}).encode()
    turn = await mine.states.open(body, MINE, f"req_{ID}")
    seals = Seals(Seal([b"s" * 32]), mine.clock)
    prompt = Parser(seals).create(turn.body, {STATE: KEPT})
    writer = Writers(seals, mine.clock).of(prompt, f"req_{ID}", 1)
    assert isinstance(turn.keeper, Keeper)
    turn.keeper.follow(writer, "m")
    writer.write(events("response.created", "response.in_progress"))
    writer.write(last)
    if outcome == "completed":
        turn.keeper.compose(b"")
    found = turn.keeper.end(outcome)
    assert isinstance(found, KeptResponse)
    assert (found.id, found.state) == ("resp_theirs", state)
    assert json.loads(found.body)["store"] is True


async def test_what_is_larger_than_may_be_kept_is_not(mine: Attic) -> None:
    large = response(output=[said("x" * 17_000_000)])
    assert await kept(mine, "completed", large) is None


@pytest.mark.parametrize(
    ("caller", "days"), [(MINE, 30), (replace(MINE, retention="days", retention_days=7), 7)]
)
async def test_days_of_a_project_count_where_they_are_fewer(
    mine: Attic, caller: Caller, days: int
) -> None:
    found = await kept(mine, "completed", response(), caller)
    assert found is not None
    assert found.keep_ms == days * DAY_MS


async def test_store_false_leaves_nothing(mine: Attic) -> None:
    assert await kept(mine, "completed", response(), store=False) is None


@pytest.mark.parametrize(("store", "warned"), [(True, 1), (None, 0), (False, 0)])
async def test_zero_retention_leaves_nothing_and_says_so_where_it_was_asked_for(
    mine: Attic, store: bool | None, warned: int
) -> None:
    body = json.dumps({"model": "m", "input": "Hi", "store": store}).encode()
    turn = await mine.states.open(body, NOTHING_KEPT, f"req_{ID}")
    assert (turn.keeper, len(turn.warnings)) == (None, warned)


async def test_zero_retention_counts_from_the_moment_it_was_decided(mine: Attic) -> None:
    """Also for what was under way then."""
    found = await kept(mine, "completed", response())
    assert found is not None

    def decided(connection: Any) -> None:
        transaction = Transaction(connection)
        transaction.run("UPDATE project SET retention = 'zero' WHERE id = ?", ("proj_a",))
        keeping.drop(transaction, "proj_a")
        keeping.write(transaction, [found], mine.clock.now_ms)

    mine.database.write(decided)
    assert mine.count("response") == 0


def test_every_item_has_an_id_of_its_own() -> None:
    sent: list[dict[str, Any]] = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b", "id": "mine"},
        {"role": "user", "content": "c", "id": "mine"},
        {"role": "user", "content": "d", "id": "taken"},
        {"role": "user", "content": "e", "id": 5},
        {"role": "user", "content": "f", "id": "x" * 129},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
    ]
    items = identified(
        [msgspec.Raw(json.dumps(each).encode()) for each in sent], "resp_1", {"taken"}
    )
    ids = [item["id"] for item in items]
    assert ids == ["msg_1i0", "mine", "msg_1i2", "msg_1i3", "msg_1i4", "msg_1i5", "item_1i6"]
    assert [item["type"] for item in items] == ["message"] * 6 + ["function_call"]
    same = [{**item, "id": each.get("id")} for item, each in zip(items, sent, strict=True)]
    assert [
        {name: item.get(name) for name in each} for item, each in zip(same, sent, strict=True)
    ] == sent


async def test_a_write_that_comes_twice_writes_once(mine: Attic) -> None:
    found = await kept(mine, "completed", response())
    assert found is not None
    for _ in range(2):
        mine.database.write(lambda c: keeping.write(Transaction(c), [found], mine.clock.now_ms))
    assert mine.count("response") == 1

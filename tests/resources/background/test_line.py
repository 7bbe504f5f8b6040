"""The line of what nobody waits for: who is next, what comes back into it, what ends."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portico.db.database import Database, open_database
from portico.db.tables import usage_record
from portico.db.transaction import Transaction
from portico.keeping import service as keeping
from portico.keeping.model import KeptResponse
from portico.ledger import owners
from portico.pricing.owed import PAID
from portico.resources.background import store
from portico.resources.background.model import Task, Wanted
from portico.resources.responses.store import one

RECORD = usage_record.columns


def wanted(response_id: str, project_id: str = "proj_1", *, stream: bool = False) -> Wanted:
    kept = KeptResponse(
        response_id,
        "org_1",
        project_id,
        "key_1",
        "key_1",
        "m",
        "queued",
        stream,
        None,
        b"[]",
        b'{"status":"queued"}',
        1_000,
        None,
    )
    return Wanted(kept, b'{"model":"m"}', b"event: response.created\ndata: {}\n\n" * stream)


def put(database: Database, *all_wanted: Wanted) -> None:
    for each in all_wanted:
        database.write(lambda c, each=each: store.put(c, each))  # type: ignore[misc]


def drawing() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"req_{next(numbers)}"


def take(
    database: Database, most: int, asleep: tuple[str, ...] = (), owner: str = "inst_1"
) -> list[Task]:
    ids = database.read(lambda c: store.turn(c, most, asleep))
    taken = database.write(lambda c: store.take(c, owner, ids, drawing()))
    return [task for task, _ in taken]


def state(database: Database, response_id: str, project_id: str = "proj_1") -> str:
    with database.connect() as connection:
        found = one(connection, project_id, response_id, 0)
    assert found is not None
    return found.state


def test_each_project_has_its_turn_before_any_has_its_second(database: Database) -> None:
    put(
        database,
        wanted("resp_1"),
        wanted("resp_2"),
        wanted("resp_3"),
        wanted("resp_4", "proj_2"),
    )
    assert [task.id for task in take(database, 2)] == ["resp_1", "resp_4"]
    assert [task.id for task in take(database, 5)] == ["resp_2", "resp_3"]
    assert take(database, 5) == []


def test_who_has_more_under_way_comes_later(database: Database) -> None:
    """However long it has waited: one place that is free at a time goes round, too."""
    put(database, *(wanted(f"resp_{number}") for number in range(5)), wanted("resp_9", "proj_2"))
    assert [task.id for task in take(database, 1)] == ["resp_0"]
    assert [task.id for task in take(database, 1)] == ["resp_9"]
    assert [task.id for task in take(database, 1)] == ["resp_1"]
    put(database, wanted("resp_a", "proj_3"), wanted("resp_b", "proj_3"))
    assert [task.id for task in take(database, 3)] == ["resp_a", "resp_b", "resp_2"]


def test_the_look_takes_as_long_however_many_wait_or_have_ended(tmp_path: Path) -> None:
    database = open_database(tmp_path, "")
    fill(database, 500, 530)
    few = steps(database)
    fill(database, 0, 500)
    end = "UPDATE response SET state = 'completed' WHERE id < 'resp_00500'"
    database.write(lambda connection: connection.exec_driver_sql(end))
    fill(database, 530, 900)
    assert steps(database) <= 1.2 * few


def fill(database: Database, first: int, end: int) -> None:
    put(database, *(wanted(f"resp_{at:05}", f"proj_{at % 3}") for at in range(first, end)))


def steps(database: Database) -> int:
    """Of SQLite's machine, in tens."""
    count = itertools.count()
    with database.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: next(count) and None, 10)
        assert store.turn(connection, 3, ()) == ["resp_00500", "resp_00501", "resp_00502"]
        driver.set_progress_handler(None, 10)
    return next(count)


def test_who_sleeps_is_left_alone(database: Database) -> None:
    put(database, wanted("resp_1"), wanted("resp_2"))
    assert [task.id for task in take(database, 5, ("resp_1",))] == ["resp_2"]
    with database.connect() as connection:
        assert store.turn(connection, 5, ()) == ["resp_1"]
        assert store.turn(connection, 5, ("resp_1",)) == []


def test_what_a_stream_has_said_comes_with_it(database: Database) -> None:
    put(database, wanted("resp_1", stream=True))
    ((task, said),) = database.write(lambda c: store.take(c, "inst_1", ["resp_1"], drawing()))
    assert said == [b"event: response.created\ndata: {}\n\n"]
    database.write(
        lambda c: store.append(c, task, 1, b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n")
    )
    with database.connect() as connection:
        assert store.events(connection, "org_1", "resp_1", 2) == [b"event: b\ndata: 2\n\n"]
        assert store.events(connection, "org_2", "resp_1", 0) == []


def said(database: Database) -> list[bytes]:
    with database.connect() as connection:
        return store.events(connection, "org_1", "resp_1", 0)


def test_only_who_works_on_it_speaks_for_it(database: Database) -> None:
    put(database, wanted("resp_1"))
    (first,) = take(database, 1)
    database.write(lambda c: store.requeue(c, first, begun=True))
    draw = iter(["req_second"])
    ((second, _),) = database.write(
        lambda c: store.take(c, "inst_2", ["resp_1"], lambda: next(draw))
    )
    database.write(lambda c: store.append(c, first, 0, b"event: first\n\n"))
    assert said(database) == []
    for _ in range(2):  # the connection may break while it is committed
        database.write(lambda c: store.append(c, second, 0, b"event: second\n\n"))
    assert said(database) == [b"event: second\n\n"]
    database.write(lambda c: keeping.write(Transaction(c), [answered(second)], 5_000))
    database.write(lambda c: store.append(c, second, 1, b"event: last\n\n"))
    assert said(database)[1:] == [b"event: last\n\n"]


def test_nobody_speaks_for_what_was_deleted(database: Database) -> None:
    put(database, wanted("resp_1"))
    (task,) = take(database, 1)
    database.write(lambda c: c.exec_driver_sql("DELETE FROM response WHERE id = 'resp_1'"))
    database.write(lambda c: store.append(c, task, 0, b"event: a\n\n"))
    assert said(database) == []


def test_what_a_dead_process_worked_on_is_in_line_again(database: Database) -> None:
    """But not what a living one does."""
    database.write(lambda c: owners.start(Transaction(c), "inst_1", 0))
    put(database, wanted("resp_1"), wanted("resp_2"))
    take(database, 1, owner="inst_1")
    take(database, 1, owner="inst_2")
    assert database.write(lambda c: store.recover(c, "inst_1", ["req_1"])) == 1
    assert (state(database, "resp_1"), state(database, "resp_2")) == ("in_progress", "queued")


def test_what_this_process_let_go_of_without_a_word_is_in_line_again(database: Database) -> None:
    """Where it could not write what became of it."""
    database.write(lambda c: owners.start(Transaction(c), "inst_1", 0))
    put(database, wanted("resp_1"), wanted("resp_2"))
    working = [task.request_id for task in take(database, 2)][:1]
    assert database.write(lambda c: store.recover(c, "inst_1", working)) == 1
    assert (state(database, "resp_1"), state(database, "resp_2")) == ("in_progress", "queued")


@pytest.mark.parametrize("outcome", sorted(PAID))
def test_what_was_paid_is_not_made_again(database: Database, outcome: str) -> None:
    """Its answer was too large for the spool, say; of one that was killed nothing was taken."""
    put(database, wanted("resp_1"))
    (task,) = take(database, 1)
    kinds = {column.name: "" if column.type.python_type is str else 0 for column in RECORD}
    row = {**kinds, "id": task.request_id, "outcome": outcome, "ttft_ms": None}
    database.write(lambda c: c.execute(usage_record.insert(), row))
    again = outcome == "killed"
    found = database.write(lambda c: store.lost(c, "inst_2", ()))
    assert found == ([] if again else [task])
    assert database.write(lambda c: store.recover(c, "inst_2", ())) == again
    assert not database.write(lambda c: store.requeue(c, task, begun=True))


def test_a_try_that_was_not_begun_does_not_count(database: Database) -> None:
    put(database, wanted("resp_1"))
    for begun, attempts in ((False, 1), (False, 1), (True, 1), (True, 2)):
        (task,) = take(database, 1)
        assert task.attempts == attempts
        assert database.write(lambda c, t=task, b=begun: store.requeue(c, t, begun=b))  # type: ignore[misc]


def answered(task: Task, request_id: str | None = None) -> KeptResponse:
    return KeptResponse(
        task.id,
        "org_1",
        "proj_1",
        "key_1",
        "key_1",
        "m",
        "completed",
        False,
        None,
        b"[]",
        b'{"status":"completed"}',
        1_000,
        None,
        request_id or task.request_id,
    )


def test_only_the_try_that_holds_it_answers_it(database: Database) -> None:
    """A slow process whose work was given to another has lost it."""
    put(database, wanted("resp_1"))
    (first,) = take(database, 1)
    database.write(lambda c: store.requeue(c, first, begun=True))
    database.write(lambda c: keeping.write(Transaction(c), [answered(first)], 5_000))
    assert state(database, "resp_1") == "queued"
    (second,) = take(database, 1)
    second_id = second.request_id
    database.write(lambda c: keeping.write(Transaction(c), [answered(second, second_id)], 5_000))
    assert state(database, "resp_1") == "completed"
    database.write(lambda c: keeping.write(Transaction(c), [answered(first)], 6_000))  # late
    with database.connect() as connection:
        found = one(connection, "proj_1", "resp_1", 0)
    assert found is not None
    assert found.ended_at_ms == 5_000


def test_one_that_was_cancelled_is_not_answered(database: Database) -> None:
    put(database, wanted("resp_1"))
    (task,) = take(database, 1)
    assert database.write(lambda c: store.cancel(c, "proj_1", "resp_1", b"{}", (2_000, None)))
    assert not database.write(lambda c: store.cancel(c, "proj_1", "resp_1", b"{}", (3_000, None)))
    database.write(lambda c: keeping.write(Transaction(c), [answered(task)], 5_000))
    assert state(database, "resp_1") == "cancelled"
    with database.connect() as connection:
        assert store.still(connection, [task.request_id]) == set()


def test_another_projects_is_not_cancelled(database: Database) -> None:
    put(database, wanted("resp_1"))
    assert not database.write(lambda c: store.cancel(c, "proj_2", "resp_1", b"{}", (2_000, None)))
    assert state(database, "resp_1") == "queued"


def test_what_is_made_anew_is_not_paid_for_now(database: Database) -> None:
    """The sweeper asks which of the dead requests worked on something; they wait again."""
    put(database, wanted("resp_1"))
    (task,) = take(database, 1)
    released = database.write(lambda c: keeping.release(Transaction(c), [task.request_id, "req_x"]))
    assert released == {task.request_id}
    assert state(database, "resp_1") == "queued"

"""Laws of hold and extend.  Every function is one; see `test_laws`."""

import pytest

from portico.db.transaction import Transaction
from tests.ledger.world import NOW_MS, World


def a_hold_sets_aside_and_is_written_down(world: World) -> None:
    world.fund("prepaid:a", 100)
    window = world.limit("limit:b:0", 50)
    (held,) = world.hold(world.wish("r", 30, limits=[window], quote='{"q": 1}'))
    assert held == world.rooms.model.Held("r", 30, (("prepaid:a", 30), ("limit:b:0", 30)))
    assert world.balance("prepaid:a") == (100, 30)
    assert world.balance("limit:b:0") == (0, 30)
    assert world.transaction.rows("SELECT * FROM hold") == [
        (
            "r",
            "a",
            "open",
            30,
            '[["prepaid:a",30],["limit:b:0",30]]',
            '{"q": 1}',
            "ins_a",
            NOW_MS,
            60_000,
            None,
        )
    ]


def a_refused_hold_does_not_disturb_its_neighbours(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.fund("prepaid:b", 5)
    answers = world.hold(
        world.wish("r1", 6), world.wish("r2", 6), world.wish("r3", 4), world.wish("r4", 6, "b")
    )
    model = world.rooms.model
    assert answers == [
        model.Held("r1", 6, (("prepaid:a", 6),)),
        model.Short(None, 4, 6),
        model.Held("r3", 4, (("prepaid:a", 4),)),
        model.Short(None, 5, 0),
    ]
    assert world.hold_states() == {"r1": "open", "r3": "open"}
    assert (world.balance("prepaid:a"), world.balance("prepaid:b")) == ((10, 10), (5, 0))


def nobody_pays_out_of_the_pockets_of_another(world: World) -> None:
    world.fund("prepaid:b", 100)
    world.fund("cogs:a", 0, floor_nano=None)
    (short,) = world.hold(world.wish("r", 1, "a"))
    assert short == world.rooms.model.Short(None, 0, 0)


def only_what_is_asked_for_is_locked_and_read(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.fund("prepaid:b", 10)
    window = world.limit("limit:b:0", 10)
    world.hold(world.wish("r", 1, limits=[window]), world.wish("s", 1))
    world.fund("promo:a:spent", 0)
    store, transaction = world.rooms.store, world.transaction
    assert [each.id for each in store.lock_funds(transaction, ["a"], [])] == ["prepaid:a"]
    assert [each.id for each in store.lock_funds(transaction, [], ["limit:b:0"])] == ["limit:b:0"]
    assert list(store.open_holds(transaction, ["s"])) == ["s"]
    assert list(store.known_holds(transaction, ["s"])) == ["s"]


def funds_are_found_among_thousands_of_accounts_that_do_not_pay(world: World) -> None:
    """By their own index: the query says its condition word for word."""
    world.fund("prepaid:a", 10)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "rows", lambda _, sql, parameters: said.append(sql) or [])
        world.rooms.store.lock_funds(world.transaction, ["a"], ["limit:b:0"])
    if world.transaction.for_update:
        return  # PostgreSQL chooses by what is in the tables
    steps = world.transaction.rows(f"EXPLAIN QUERY PLAN {said[0]}", ("a", "limit:b:0"))
    assert any("account_funding" in str(step) for step in steps), steps


def rows_are_locked_in_one_order_with_windows_last(world: World) -> None:
    """By code point, as Python sorts; who locks in another order waits for ever."""
    for name in ("a", "B", "_"):
        world.fund(f"prepaid:{name}", 10)
    windows = [world.limit(name, 10) for name in ("limit:b:0", "limit:B:0")]
    wishes = [world.wish(f"r{owner}", n, owner, windows) for n, owner in enumerate("a_B", 1)]
    world.hold(*wishes)
    order = ["prepaid:B", "prepaid:_", "prepaid:a", "limit:B:0", "limit:b:0"]
    store, transaction = world.rooms.store, world.transaction
    found = store.lock_funds(transaction, ["_", "a", "B"], [each.account_id for each in windows])
    assert [each.id for each in found] == order
    for name, priority in (("receivable:c", 1), ("promo:c:1", 2), ("prepaid:c", 3)):
        world.fund(name, 10, priority=priority)
    others = [each.id for each in store.lock_funds(transaction, ["c"], [])]
    assert others == ["prepaid:c", "promo:c:1", "receivable:c"]
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Transaction, "each", lambda _, sql, rows: written.extend(row[2] for row in rows)
        )
        store.move(transaction, dict.fromkeys(reversed(order), (0, 0)))
    assert written == order
    assert list(store.open_holds(transaction, ["ra", "r_", "rB"])) == ["rB", "r_", "ra"]


def promo_then_prepaid_then_receivable(world: World) -> None:
    world.fund("promo:a:1", 5, priority=10)
    world.fund("prepaid:a", 5)
    world.fund("receivable:a", 0, floor_nano=-5, priority=90)
    (held,) = world.hold(world.wish("r", 14))
    assert held.parts == (("promo:a:1", 5), ("prepaid:a", 5), ("receivable:a", 4))
    assert world.hold(world.wish("s", 2)) == [world.rooms.model.Short(None, 1, 14)]


def an_expired_promo_is_not_money(world: World) -> None:
    world.fund("promo:a:1", 5, priority=10, expires_at_ms=NOW_MS + 10)
    world.fund("promo:a:2", 0, priority=10)
    world.fund("prepaid:a", 5)
    world.now_ms = NOW_MS + 9
    assert world.hold(world.wish("r", 1))[0].parts == (("promo:a:1", 1),)
    world.now_ms = NOW_MS + 10
    assert world.hold(world.wish("s", 1))[0].parts == (("prepaid:a", 1),)
    assert world.settle(world.end("r", 1)) == [world.rooms.model.Settled(1, 0)], "held in time"


def a_hold_again_is_the_same_hold(world: World) -> None:
    """After a commit of which nobody knows whether it happened."""
    world.fund("prepaid:a", 10)
    wishes = [world.wish("r", 6), world.wish("s", 3, limits=[world.limit("limit:b:0", 5)])]
    answers = world.hold(*wishes)
    before = world.state()
    assert world.hold(*wishes) == answers
    assert world.state() == before
    world.settle(world.end("r", 2))
    after = world.state()
    assert world.hold(wishes[0]) == [answers[0]], "also when it has ended: it is not held anew"
    assert world.state() == after


def a_request_twice_in_a_batch_is_held_once(world: World) -> None:
    world.fund("prepaid:a", 10)
    first, again, other = world.hold(world.wish("r", 4), world.wish("r", 5), world.wish("s", 4))
    assert first == again == world.rooms.model.Held("r", 4, (("prepaid:a", 4),))
    assert other.parts == (("prepaid:a", 4),)
    assert world.balance("prepaid:a") == (10, 8)
    none, still = world.hold(world.wish("t", 3), world.wish("t", 3))
    assert none == still == world.rooms.model.Short(None, 2, 8)


def the_first_hold_opens_its_window_and_later_ones_find_it(world: World) -> None:
    world.fund("prepaid:a", 100)
    window = world.limit("limit:b:0", 10)
    model = world.rooms.model
    answers = world.hold(world.wish("r", 6, limits=[window]), world.wish("s", 6, limits=[window]))
    assert answers == [
        model.Held("r", 6, (("prepaid:a", 6), ("limit:b:0", 6))),
        model.Short(window, 4, 6),
    ]
    assert world.hold(world.wish("t", 4, limits=[window]))[0].parts[1] == ("limit:b:0", 4)
    found = world.transaction.rows(
        "SELECT kind, organisation_id, posted_nano, held_nano, floor_nano, priority, "
        "expires_at_ms, created_at_ms FROM account WHERE id = 'limit:b:0'"
    )
    assert found == [("limit", "a", 0, 10, -10, 0, window.ends_at_ms, NOW_MS)]


def several_windows_open_at_once_and_each_has_its_own_cap(world: World) -> None:
    world.fund("prepaid:a", 100)
    narrow, wide = world.limit("limit:z:0", 5), world.limit("limit:b:0", 50)
    world.hold(world.wish("r", 5, limits=[narrow, wide]))
    assert world.balance("limit:z:0") == world.balance("limit:b:0") == (0, 5)
    assert world.hold(world.wish("s", 1, limits=[narrow, wide])) == [
        world.rooms.model.Short(narrow, 0, 5)
    ]
    assert world.balance("limit:b:0") == (0, 5)


def a_hold_is_raised_to_an_amount(world: World) -> None:
    world.fund("promo:a:1", 5, priority=10)
    world.fund("prepaid:a", 20)
    window = world.limit("limit:b:0", 15)
    held = world.rooms.model.Held
    world.hold(world.wish("r", 4, limits=[window]), world.wish("other", 1))
    (raised,) = world.extend(world.wish("r", 9, limits=[window]))
    parts = (("promo:a:1", 4), ("prepaid:a", 5), ("limit:b:0", 9))
    assert raised == held("r", 9, parts)
    assert world.balance("prepaid:a") == (20, 5)
    assert world.hold(world.wish("r", 4)) == [held("r", 9, parts)], "it is written down"
    before = world.state()
    assert world.extend(world.wish("r", 9, limits=[window])) == [raised], "again, nothing moves"
    assert world.extend(world.wish("r", 3, limits=[window])) == [raised], "never lowered"
    lower = world.limit("limit:b:0", 1)
    assert world.extend(world.wish("r", 9, limits=[lower])) == [raised], "it has it already"
    assert world.state() == before
    assert world.settle(world.end("r", 8)) == [world.rooms.model.Settled(8, 0)]
    assert world.balance("limit:b:0") == (-8, 0)


def a_refused_extension_leaves_the_hold_and_its_neighbours(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4), world.wish("s", 2))
    refused, raised, gone = world.extend(
        world.wish("r", 9), world.wish("s", 5), world.wish("unknown", 5)
    )
    assert refused == world.rooms.model.Short(None, 4, 6)
    assert raised == world.rooms.model.Held("s", 5, (("prepaid:a", 5),))
    assert gone is None
    assert world.balance("prepaid:a") == (10, 9)


def a_hold_raised_twice_in_a_batch_is_raised_once(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.hold(world.wish("r", 4))
    answers = world.extend(world.wish("r", 9), world.wish("r", 7), world.wish("r", 12))
    assert [each.amount_nano for each in answers] == [9, 9, 12]
    assert world.balance("prepaid:a") == (20, 12)


def what_has_ended_is_not_raised(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.hold(world.wish("r", 4), world.wish("s", 4))
    world.settle(world.end("r", 4), world.end("s", None))
    before = world.state()
    assert world.extend(world.wish("r", 9), world.wish("s", 9)) == [None, None]
    assert world.state() == before
    widened = world.rooms.store.widen_holds(world.transaction, {"r": (9, (("prepaid:a", 9),))})
    assert widened == 0, "not even if somebody asks the rows"


def a_window_that_opens_during_a_stream_counts_the_rest_of_it(world: World) -> None:
    """The day ends between a hold and its extension: each window counts what it held, no more."""
    world.fund("prepaid:a", 20)
    today, tomorrow = world.limit("limit:b:0", 10), world.limit("limit:b:1", 10)
    world.hold(world.wish("r", 8, limits=[today]))
    world.extend(world.wish("r", 16, limits=[tomorrow]))
    assert world.settle(world.end("r", 15)) == [world.rooms.model.Settled(15, 0)]
    assert world.balance("limit:b:0") == (-8, 0)
    assert world.balance("limit:b:1") == (-8, 0)


def a_floor_goes_no_higher_than_what_is_left(world: World) -> None:
    world.fund("prepaid:a", 100)
    window = world.limit("limit:b:0", 50)
    world.hold(world.wish("r", 20, limits=[window]), world.wish("s", 10, limits=[window]))
    world.settle(world.end("s", 10))
    assert world.set_floor("limit:b:0", -40) == -40
    assert world.set_floor("limit:b:0", -5) == -30, "10 spent and 20 held"
    lower = world.limit("limit:b:0", 5)
    assert world.hold(world.wish("t", 1, limits=[window])) == [
        world.rooms.model.Short(window, 0, 20)
    ]
    world.settle(world.end("r", 1))
    assert world.hold(world.wish("t", 1, limits=[lower])) == [
        world.rooms.model.Short(lower, 0, 0)
    ], "what came back is not spent again under the lower cap"
    assert world.set_floor("unknown", 0) is None


def a_quote_of_a_megabyte_is_kept(world: World) -> None:
    world.fund("prepaid:a", 1)
    quote = '"' + "q" * 1_000_000 + '"'
    world.hold(world.wish("r", 1, quote=quote))
    assert world.transaction.rows("SELECT quote FROM hold") == [(quote,)]


def holds_of_the_dead_and_of_the_past_are_stale_oldest_first(world: World) -> None:
    world.fund("prepaid:a", 100)
    world.transaction.run("INSERT INTO instance VALUES ('ins_a', 1, 1)")
    world.hold(world.wish("alive", 1), world.wish("ended", 1))
    world.settle(world.end("ended", 1))
    world.now_ms -= 1
    world.hold(world.wish("orphan", 1), owner="ins_b")
    world.hold(world.wish("ended orphan", 1), owner="ins_b")
    world.settle(world.end("ended orphan", None))
    world.now_ms -= 59_999
    world.hold(world.wish("late", 1, quote='{"q": 2}'))

    def stale(now_ms: int, most: int = 10) -> list[str]:
        found = world.rooms.store.stale_holds(world.transaction, now_ms, most)
        return [row[0] for row in found]

    assert stale(NOW_MS - 1) == ["orphan"]
    assert stale(NOW_MS) == ["late", "orphan"]
    assert stale(NOW_MS, 1) == ["late"]
    assert world.rooms.store.stale_holds(world.transaction, NOW_MS, 1) == [
        ("late", "a", '{"q": 2}')
    ]


def an_owner_is_alive_until_it_ends_or_misses_its_beats(world: World) -> None:
    owners, transaction = world.rooms.owners, world.transaction

    def alive() -> list[tuple[str, int, int]]:
        return sorted(transaction.rows("SELECT id, started_at_ms, beat_at_ms FROM instance"))

    for name in ("ins_a", "ins_b", "ins_c"):
        owners.start(transaction, name, NOW_MS)
    owners.beat(transaction, "ins_a", NOW_MS + 5_000)
    assert alive()[0] == ("ins_a", NOW_MS, NOW_MS + 5_000)
    owners.forget(transaction, "ins_c")
    owners.forget_dead(transaction, NOW_MS + owners.DEAD_AFTER_MS)
    assert [each[0] for each in alive()] == ["ins_a", "ins_b"]
    owners.forget_dead(transaction, NOW_MS + owners.DEAD_AFTER_MS + 1)
    assert [each[0] for each in alive()] == ["ins_a"]
    owners.beat(transaction, "ins_b", NOW_MS + 90_000)
    assert [each[0] for each in alive()] == ["ins_a", "ins_b"], "a beat brings it back"
    owners.forget_others(transaction, "ins_b")
    assert [each[0] for each in alive()] == ["ins_b"]

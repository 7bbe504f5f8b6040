"""Laws of settle and post, and of receipts.  Every function is one; see `test_laws`."""

import pytest

from tests.ledger.world import NOW_MS, World


def a_settlement_charges_what_was_used_and_gives_the_rest_back(world: World) -> None:
    world.fund("promo:a:1", 5, priority=10)
    world.fund("prepaid:a", 95)
    window = world.limit("limit:b:0", 50)
    world.hold(world.wish("r", 30, limits=[window]), world.wish("open", 1))
    world.now_ms += 7
    assert world.settle(world.end("r", 12)) == [world.rooms.model.Settled(12, 0)]
    assert world.balance("promo:a:1") == (0, 0)
    assert world.balance("prepaid:a") == (88, 1)
    assert world.balance("limit:b:0") == (-12, 0)
    assert world.balance("revenue") == (12, 0)
    assert world.hold_states() == {"r": "settled", "open": "open"}
    assert world.transaction.rows("SELECT resolved_at_ms FROM hold ORDER BY id") == [
        (None,),
        (NOW_MS + 7,),
    ]
    assert world.transaction.rows("SELECT * FROM txn WHERE kind = 'charge'") == [
        ("settle:r", "charge", "a", "", NOW_MS + 7)
    ]
    assert sorted(
        world.transaction.rows(
            "SELECT account_id, amount_nano FROM entry WHERE txn_id = 'settle:r'"
        )
    ) == [("prepaid:a", -7), ("promo:a:1", -5), ("revenue", 12)]


def a_hold_ends_once(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.hold(world.wish("r", 10))
    world.settle(world.end("r", 4))
    before = world.state()
    assert world.settle(world.end("r", 4)) == [None]
    assert world.settle(world.end("r", None), world.end("never", 3)) == [None, None]
    assert world.state() == before
    assert world.rooms.store.resolve_holds(world.transaction, ["r"], "void", 1) == {}
    assert world.state() == before


def a_hold_ends_once_in_a_batch_and_the_first_end_counts(world: World) -> None:
    world.fund("prepaid:a", 20)
    settled = world.rooms.model.Settled
    world.hold(world.wish("r", 5), world.wish("s", 5), world.wish("t", 5))
    answers = world.settle(
        world.end("r", 4),
        world.end("s", None),
        world.end("r", 5),
        world.end("s", 1),
        world.end("t", 2),
    )
    assert answers == [settled(4, 0), settled(0, 0), None, None, settled(2, 0)]
    assert world.balance("prepaid:a") == (14, 0)
    assert world.hold_states() == {"r": "settled", "s": "void", "t": "settled"}


def the_ends_of_a_batch_keep_their_states(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.hold(world.wish("r", 5), world.wish("s", 5), world.wish("t", 5), world.wish("u", 5))
    world.settle(world.end("r", 1), world.end("s", None), world.end("t", 1, "expired"))
    assert world.hold_states() == {"r": "settled", "s": "void", "t": "expired", "u": "open"}


def only_the_chains_asked_for_are_locked(world: World) -> None:
    lock = world.rooms.store.lock_chains
    assert sorted(lock(world.transaction, {"a", "b"})) == ["a", "b"]
    assert lock(world.transaction, {"b"}) == {"b": (0, bytes(32))}


def a_void_costs_nothing_and_has_no_receipt(world: World) -> None:
    world.fund("prepaid:a", 20)
    window = world.limit("limit:b:0", 20)
    world.hold(world.wish("r", 5, limits=[window]))
    assert world.settle(world.end("r", None)) == [world.rooms.model.Settled(0, 0)]
    assert world.balance("prepaid:a") == (20, 0)
    assert world.balance("limit:b:0") == (0, 0)
    assert world.transaction.rows("SELECT id FROM charge") == []
    assert world.transaction.rows("SELECT id FROM txn") == [("fund:prepaid:a",)]


def a_charge_of_nothing_has_a_receipt_and_no_transaction(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.hold(world.wish("r", 5))
    assert world.settle(world.end("r", 0)) == [world.rooms.model.Settled(0, 0)]
    assert world.transaction.rows("SELECT id, net_nano FROM charge") == [("r", 0)]
    assert world.transaction.rows("SELECT id FROM txn") == [("fund:prepaid:a",)]


def what_is_above_the_hold_is_the_operators_loss(world: World) -> None:
    world.fund("prepaid:a", 20)
    window = world.limit("limit:b:0", 20)
    world.hold(world.wish("r", 5, limits=[window]))
    assert world.settle(world.end("r", 8)) == [world.rooms.model.Settled(5, 3)]
    assert world.balance("prepaid:a") == (15, 0)
    assert world.balance("limit:b:0") == (-5, 0)
    assert world.balance("absorbed_overrun") == (-3, 0)
    assert world.balance("revenue") == (8, 0)
    assert world.transaction.rows("SELECT net_nano, absorbed_nano FROM charge") == [(5, 3)]


def receipts_follow_from_one_another_within_their_organisation(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.fund("prepaid:b", 20)
    world.hold(*(world.wish(f"r{n}", 5, "ab"[n % 2]) for n in range(6)))
    world.settle(world.end("r0", 1), world.end("r1", 2), world.end("r2", None))
    world.settle(world.end("r5", 3), world.end("r4", 0))
    found = world.transaction.rows(
        "SELECT organisation_id, sequence, id FROM charge ORDER BY organisation_id, sequence"
    )
    assert found == [("a", 1, "r0"), ("a", 2, "r4"), ("b", 1, "r1"), ("b", 2, "r5")]


def a_receipt_is_what_was_rated(world: World) -> None:
    world.fund("prepaid:a", 20)
    world.hold(world.wish("r", 5))
    bill = world.bill(7, 9)
    world.settle(world.rooms.model.Settlement("r", "settled", bill))
    found = world.transaction.rows(
        "SELECT id, organisation_id, project_id, key_id, sequence, model, tier, outcome, lines, "
        "terms_id, list_nano, net_nano, absorbed_nano, charged_at_ms FROM charge"
    )
    assert found == [
        (
            "r",
            "a",
            "prj_a",
            "key_a",
            1,
            "fable",
            "standard",
            "completed",
            bill.lines,
            "trm_a",
            9,
            5,
            2,
            NOW_MS,
        )
    ]


def the_hashed_bytes_are_compact_json_with_amounts_as_strings(world: World) -> None:
    receipt = world.rooms.receipts.Receipt(
        request_id="r",
        organisation_id="a",
        sequence=1,
        project_id="p",
        key_id="k",
        model="m",
        tier="t",
        outcome="o",
        lines=world.rooms.receipts.msgspec.Raw(b'[{"x":1}]'),
        terms_id="i",
        list_nano="3",
        net_nano="2",
        absorbed_nano="1",
        charged_at_ms=4,
    )
    assert world.rooms.receipts.body(receipt) == (
        b'{"request_id":"r","organisation_id":"a","sequence":1,"project_id":"p","key_id":"k",'
        b'"model":"m","tier":"t","outcome":"o","lines":[{"x":1}],"terms_id":"i","list_nano":"3",'
        b'"net_nano":"2","absorbed_nano":"1","charged_at_ms":4}'
    )


def a_posting_moves_money_once(world: World) -> None:
    world.fund("prepaid:a", 0)
    top_up = world.posting("pay:1", ("prepaid:a", 10), ("cash_clearing", -10))
    assert world.post(top_up) == [True]
    before = world.state()
    assert world.post(top_up) == [False]
    other = world.posting("pay:1", ("prepaid:a", 99), ("cash_clearing", -99))
    assert world.post(other) == [False], "the id is the key, whatever it says"
    assert world.state() == before
    found = world.transaction.rows("SELECT * FROM txn WHERE id = 'pay:1'")
    assert found == [("pay:1", "adjust", "a", "because", NOW_MS)]


def a_posting_twice_in_a_batch_moves_money_once_and_the_first_counts(world: World) -> None:
    world.fund("prepaid:a", 0)
    first = world.posting("pay:1", ("prepaid:a", 10), ("cash_clearing", -10))
    again = world.posting("pay:1", ("prepaid:a", 99), ("cash_clearing", -99))
    other = world.posting("pay:2", ("prepaid:a", 5), ("cash_clearing", -5))
    assert world.post(first, again, other, again) == [True, False, True, False]
    assert world.balance("prepaid:a") == (15, 0)
    assert world.post() == []


def a_posting_cannot_take_what_is_held_or_not_there(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4))
    before = world.state()
    overdrawn = world.rooms.model.WouldOverdraw
    fine = world.posting("pay:1", ("prepaid:a", 0 + 1), ("cash_clearing", -1))
    for bad in (
        world.posting("pay:2", ("prepaid:a", -8), ("cash_clearing", 8)),
        world.posting("pay:2", ("prepaid:nobody", 1), ("cash_clearing", -1)),
    ):
        with pytest.raises(overdrawn):
            world.post(fine, bad)
        assert world.state() == before, "and nothing of its batch stays"
    assert world.post(world.posting("pay:3", ("prepaid:a", -6), ("cash_clearing", 6))) == [True]


def no_balance_grows_beyond_what_can_be_added_up(world: World) -> None:
    most = world.rooms.model.AMOUNT_MAX_NANO
    world.fund("prepaid:a", most)
    before = world.state()
    for name, nano in (("prepaid:a", 1), ("cash_clearing", -1)):
        with pytest.raises(world.rooms.model.WouldOverdraw):
            world.post(world.posting("pay:1", (name, nano), ("revenue", -nano)))
    with pytest.raises(world.rooms.model.WouldOverdraw):
        world.post(
            *(
                world.posting(f"p:{n}", ("revenue", most), ("cash_clearing", -most))
                for n in (1, 2, 3)
            )
        )
    assert world.state() == before
    (held,) = world.hold(world.wish("r", most))
    assert held.amount_nano == most
    world.settle(world.end("r", most))
    assert world.balance("revenue") == (most, 0)


def rows_refuse_to_move_beyond_their_guards(world: World) -> None:
    """The WHERE says no before the CHECK has to: a refusal is a count, not an exception."""
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4))
    move, most = world.rooms.store.move, world.rooms.model.AMOUNT_MAX_NANO
    for posted, held in ((-7, 0), (0, 7), (0, -5), (most, 0), (10, most)):
        assert move(world.transaction, {"prepaid:a": (posted, held)}) == 0
    assert move(world.transaction, {"cash_clearing": (-most, 0)}) == 0
    assert move(world.transaction, {"cash_clearing": (0, most), "prepaid:a": (-6, 0)}) == 2
    assert move(world.transaction, {"cash_clearing": (0, 1)}) == 0
    world.transaction.run("UPDATE account SET held_nano = 0 WHERE id = 'cash_clearing'")


def accounts_are_opened_once_and_found_by_owner(world: World) -> None:
    service = world.rooms.service
    for account in (service.receivable("a", 7, NOW_MS), service.prepaid("a", NOW_MS)):
        service.open_account(world.transaction, account)
    world.fund("prepaid:b", 3)
    found = service.accounts_of(world.transaction, "a")
    assert [(each.id, each.kind, each.floor_nano, each.priority) for each in found] == [
        ("prepaid:a", "prepaid", 0, 50),
        ("receivable:a", "receivable", -7, 90),
    ]
    world.fund("prepaid:a", 5)
    service.open_account(world.transaction, service.prepaid("a", NOW_MS + 1))
    assert world.balance("prepaid:a") == (5, 0), "what is there stays as it is"
    names = [each.id for each in service.accounts_of(world.transaction, "")]
    assert names == ["absorbed_overrun", "cash_clearing", "revenue"]

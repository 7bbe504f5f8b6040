"""Laws of the pure rules and of the nouns.  Every function is one; see `test_laws`."""

import hashlib
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.ledger.world import NOW_MS, World


def funds_are_used_up_by_priority_then_expiry_then_age_then_name(world: World) -> None:
    account = world.rooms.model.Account

    def made(name: str, priority: int, expires_at_ms: int | None, created_at_ms: int) -> Any:
        return account(name, "promo", "a", 1, 0, 0, priority, expires_at_ms, created_at_ms)

    in_turn = [
        made("z", 10, NOW_MS + 9, 9),
        made("y", 20, NOW_MS + 1, 9),
        made("x", 20, NOW_MS + 2, 9),
        made("w", 20, None, 1),
        made("u", 20, None, 2),
        made("v", 20, None, 2),
    ]
    gone = [made("g", 10, NOW_MS, 1), made("h", 10, NOW_MS - 1, 1)]
    found = world.rooms.rules.in_order([*reversed(in_turn), *gone], NOW_MS)
    assert [each.id for each in found] == ["z", "y", "x", "w", "u", "v"]


def _accounts(world: World, *amounts: tuple[int, int, int | None]) -> list[Any]:
    """One for each (posted, held, floor)."""
    account = world.rooms.model.Account
    return [
        account(f"prepaid:{n}", "prepaid", "a", posted, held, floor, 50, None, NOW_MS)
        for n, (posted, held, floor) in enumerate(amounts)
    ]


def _window(world: World, cap: int, posted: int, held: int, floor: int | None) -> Any:
    name = f"limit:{cap}"
    account = world.rooms.model.Account(name, "limit", "a", posted, held, floor, 0, None, NOW_MS)
    return (world.limit(name, cap), account)


def an_amount_is_taken_from_each_in_turn_and_whole_from_every_limit(world: World) -> None:
    funding = _accounts(world, (10, 4, 0), (-3, 0, -5), (0, 0, None))
    windows = [_window(world, 50, -10, 20, -50), _window(world, 20, 0, 0, -20)]
    parts = world.rooms.rules.set_aside(20, funding, windows)
    assert parts == (
        ("prepaid:0", 6),
        ("prepaid:1", 2),
        ("prepaid:2", 12),
        ("limit:50", 20),
        ("limit:20", 20),
    )
    assert [each.held_nano for each in funding] == [10, 2, 12]
    assert [account.held_nano for _, account in windows] == [40, 20]


def what_is_refused_changes_nothing(world: World) -> None:
    short = world.rooms.model.Short
    set_aside = world.rooms.rules.set_aside
    funding = _accounts(world, (10, 4, 0), (3, 2, 0))
    roomy, full = _window(world, 99, 0, 0, -99), _window(world, 20, -5, 7, -20)
    assert set_aside(8, funding, [roomy]) == short(None, 7, 6)
    assert set_aside(9, funding, [roomy, full]) == short(full[0], 8, 7), "the limit is told first"
    assert [each.held_nano for each in funding] == [4, 2]
    assert (roomy[1].held_nano, full[1].held_nano) == (0, 7)
    assert set_aside(7, funding, [roomy, full]) == (
        ("prepaid:0", 6),
        ("prepaid:1", 1),
        ("limit:99", 7),
        ("limit:20", 7),
    ), "to the last nano"


def an_account_beyond_its_floor_has_nothing_left_rather_than_less(world: World) -> None:
    short = world.rooms.model.Short
    set_aside = world.rooms.rules.set_aside
    assert set_aside(5, _accounts(world, (-9, 0, 0), (5, 0, 0)), []) == (("prepaid:1", 5),)
    over = _window(world, 5, -9, 2, -5)
    assert set_aside(1, _accounts(world, (5, 0, 0)), [over]) == short(over[0], 0, 2)


def the_lower_of_cap_and_floor_counts(world: World) -> None:
    short = world.rooms.model.Short
    for cap, floor in ((10, -30), (30, -10), (10, None)):
        window = _window(world, cap, 0, 0, floor)
        funding = _accounts(world, (99, 0, 0))
        assert world.rooms.rules.set_aside(11, funding, [window]) == short(window[0], 10, 0)
        assert world.rooms.rules.set_aside(10, funding, [window])


def a_charge_is_paid_in_the_order_of_its_hold_and_never_above_it(world: World) -> None:
    paid_from = world.rooms.rules.paid_from
    parts = (("promo:a:1", 3), ("prepaid:a", 5), ("limit:b:0", 8))
    assert paid_from(parts, 2) == ((("promo:a:1", 2),), 0)
    assert paid_from(parts, 6) == ((("promo:a:1", 3), ("prepaid:a", 3)), 0)
    assert paid_from(parts, 11) == ((("promo:a:1", 3), ("prepaid:a", 5)), 3)
    assert paid_from(parts, 0) == ((), 0)


def parts_are_merged_by_account_with_limits_last(world: World) -> None:
    before = (("prepaid:a", 3), ("limit:b:0", 3))
    more = (("promo:a:1", 1), ("prepaid:a", 4), ("limit:b:0", 5), ("limit:c:0", 5))
    assert world.rooms.rules.merged(before, more) == (
        ("prepaid:a", 7),
        ("promo:a:1", 1),
        ("limit:b:0", 8),
        ("limit:c:0", 5),
    )


def a_link_depends_on_the_receipt_and_on_every_one_before(world: World) -> None:
    link = world.rooms.rules.link
    assert bytes(32) == world.rooms.rules.GENESIS
    assert link(b"before", b"now") == hashlib.sha256(b"beforenow").digest()


def what_may_be_spent_is_what_is_neither_held_nor_below_the_floor(world: World) -> None:
    one, two = _accounts(world, (10, 3, -5), (10, 3, None))
    assert (one.spendable_nano, two.spendable_nano) == (12, None)


def impossible_amounts_are_refused_when_they_are_named(world: World) -> None:
    most = world.rooms.model.AMOUNT_MAX_NANO

    def refused(words: str) -> AbstractContextManager[Any]:
        return pytest.raises(ValueError, match=words)

    assert most == 2**62 - 1
    for nano in (0, -1, most + 1, 2**63 - 1, 2**63):
        with refused("cannot be held"):
            world.wish("r", nano)
    for net, listed in ((-1, 0), (0, -1), (most + 1, 0), (0, most + 1), (2**63, 2**63)):
        with refused("cannot be charged"):
            world.bill(net, listed)
    for entries, words in (
        ((("x", 1), ("y", -2)), "do not sum to zero"),
        ((("x", 1), ("x", -1)), "names an account twice"),
        ((("x", 0), ("y", 0)), "an amount that is none"),
        ((("x", most + 1), ("y", -most - 1)), "an amount that is none"),
    ):
        with refused(words):
            world.posting("t", *entries)
    world.wish("r", most)
    world.bill(most)
    world.posting("t", ("x", most), ("y", -most))

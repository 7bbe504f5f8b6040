"""The ledger does what the book says, whatever is asked of it in whatever order.

uv run pytest tests/ledger/test_machine.py -m long     # 10,000 steps x 50 seeds, each database
"""

import contextlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bench.faults.place import Place
from portico.ledger.model import Held, Settled, WouldOverdraw
from tests.ledger.book import Book, Page
from tests.ledger.world import NOW_MS, World, undone

NEVER = 10**18
FUNDS = {  # account: owner, kind, floor, priority, expiry after the start
    "promo:a:1": ("a", "promo", 0, 10, 3),
    "promo:a:2": ("a", "promo", 0, 10, 6),
    "prepaid:a": ("a", "prepaid", 0, 50, NEVER),
    "receivable:a": ("a", "receivable", -20, 90, NEVER),
    "prepaid:b": ("b", "prepaid", 0, 50, NEVER),
    "promo:b:1": ("b", "promo", 0, 90, NEVER),
}
LIMITS = {"a": ("limit:key_a:0", "limit:org_a:0"), "b": ("limit:org_b:0",)}

# Few names, so that the same one comes again: in a batch, in a repeated batch, after its end.
requests = st.sampled_from([f"r{n}" for n in range(8)])
amounts = st.integers(1, 25)
asked = st.lists(
    st.tuples(requests, amounts, st.integers(0, 2), st.sampled_from([40, 40, 15])),
    min_size=1,
    max_size=4,
)
ends = st.lists(
    st.tuples(requests, st.none() | st.integers(0, 30), st.sampled_from(["settled", "expired"])),
    min_size=1,
    max_size=4,
)
moves = st.lists(
    st.tuples(
        st.sampled_from([f"p{n}" for n in range(12)]),
        st.sampled_from(sorted(FUNDS)),
        st.integers(-20, 60).filter(bool),
    ),
    min_size=1,
    max_size=3,
)


class Machine(RuleBasedStateMachine):
    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.world: World = self.stack.enter_context(undone(self.place))
        self.book = Book()
        self.serial = 0
        self.last: tuple[Any, Any] | None = None

    @initialize()
    def open_accounts(self) -> None:
        for name in ("revenue", "absorbed_overrun", "cash_clearing"):
            self.book.pages[name] = Page(None, (0, 0, name))
        for name, (owner, kind, floor, priority, after) in FUNDS.items():
            expires = None if after == NEVER else NOW_MS + after
            account = self.world.account(name, owner, kind, floor, priority, expires)
            self.world.rooms.service.open_account(self.world.transaction, account)
            self.book.pages[name] = Page(floor, (priority, NOW_MS + after, name))
            self.book.owners[name] = owner

    @rule(asked=asked)
    def hold(self, asked: list[Any]) -> None:
        wishes = [self._wish(*each) for each in asked]
        found = self.world.hold(*wishes)
        self.last = (self.world.hold, wishes) if all(isinstance(a, Held) for a in found) else None
        new: dict[str, Any] = {}
        for wish in wishes:
            if wish.request_id not in self.book.amounts:
                new.setdefault(wish.request_id, wish)
        self._open_windows(new.values())
        given = {
            name: self.book.hold(name, w.organisation_id, w.amount_nano, self._caps(w), self._now)
            for name, w in new.items()
        }
        expected = [given.get(w.request_id, True) for w in wishes]
        assert [isinstance(answer, Held) for answer in found] == expected

    @rule(asked=asked)
    def extend(self, asked: list[Any]) -> None:
        wishes = [self._wish(*each) for each in asked]
        found = self.world.extend(*wishes)
        self._open_windows(w for w in wishes if w.request_id in self.book.opened)
        expected = [
            self.book.extend(w.request_id, w.amount_nano, self._caps(w), self._now) for w in wishes
        ]
        assert [None if a is None else isinstance(a, Held) for a in found] == expected
        for wish, answer in zip(wishes, found, strict=True):
            if isinstance(answer, Held):
                assert answer.amount_nano >= wish.amount_nano

    @rule(ends=ends)
    def settle(self, ends: list[Any]) -> None:
        settlements = [self.world.end(*each) for each in ends]
        found = self.world.settle(*settlements)
        expected = [self.book.settle(request, net) for request, net, _ in ends]
        assert found == [None if each is None else Settled(*each) for each in expected]

    @rule(moves=moves)
    def post(self, moves: list[Any]) -> None:
        postings = [
            self.world.posting(name, (account, nano), ("cash_clearing", -nano))
            for name, account, nano in moves
        ]
        expected = self.book.post(moves)
        if expected is None:
            with pytest.raises(WouldOverdraw):
                self.world.post(*postings)
        else:
            assert self.world.post(*postings) == expected

    @rule(
        account=st.sampled_from([*LIMITS["a"], *LIMITS["b"], "receivable:a"]),
        floor=st.integers(-60, 0),
    )
    def set_floor(self, account: str, floor: int) -> None:
        assert self.world.set_floor(account, floor) == self.book.set_floor(account, floor)

    @rule()
    def again(self) -> None:
        """As after a commit of which nobody knows whether it happened."""
        if self.last is not None:
            verb, items = self.last
            before = self.world.state()
            verb(*items)
            assert self.world.state() == before

    @rule()
    def wait(self) -> None:
        self.world.now_ms += 1

    @invariant()
    def balances_are_as_in_the_book(self) -> None:
        found = self.world.transaction.rows(
            "SELECT id, posted_nano, held_nano, floor_nano FROM account ORDER BY id"
        )
        pages = sorted(self.book.pages.items())
        assert sorted(found) == [(n, p.posted, p.held, p.floor) for n, p in pages]
        states = self.world.hold_states()
        assert {name for name, state in states.items() if state == "open"} == {*self.book.opened}
        assert states.keys() == self.book.amounts.keys()

    def teardown(self) -> None:
        self.world.check()
        self.stack.close()

    @property
    def _now(self) -> int:
        return self.world.now_ms

    def _wish(self, request: str, nano: int, limits: int, cap: int) -> Any:
        whose = "ab"[int(request[1:]) % 2]
        windows = [self.world.limit(name, cap) for name in LIMITS[whose][:limits]]
        return self.world.wish(request, nano, whose, windows)

    def _open_windows(self, wishes: Iterable[Any]) -> None:
        """The newest cap of a batch is the one that a new window starts with."""
        self.book.open_windows({k: v for wish in wishes for k, v in self._caps(wish).items()})

    def _caps(self, wish: Any) -> dict[str, int]:
        return {limit.account_id: limit.cap_nano for limit in wish.limits}


def _run(place: Place, examples: int, steps: int, at: int | None = None) -> None:
    machine = type("LedgerMachine", (Machine,), {"place": place})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=False,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    if at is not None:
        machine = seed(at)(machine)
    run_state_machine_as_test(machine, settings=chosen)


def test_the_ledger_is_the_book(place: Place) -> None:
    _run(place, examples=25, steps=30)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("at", range(50))
def test_the_ledger_is_the_book_for_ten_thousand_steps(place: Place, at: int) -> None:
    _run(place, examples=200, steps=50, at=at)

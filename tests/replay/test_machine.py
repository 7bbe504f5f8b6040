"""Claims, in whatever order things happen, are what a dictionary says they are."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bench.faults.place import Place
from portico.replay.model import Answer, Ended, Release, Wish
from tests.replay.world import KEEP_MS, OPEN_MS, World, release, undone, wish

OWNERS = ("inst_1", "inst_2")
# Few names, so that the same one comes again.
keys = st.sampled_from(["k", "l", "m"])
bodies = st.sampled_from(["a", "a", "b"])
projects = st.sampled_from(["p", "p", "q"])
requests = st.integers(0, 30)
batches = st.lists(
    st.tuples(st.booleans(), requests, keys, bodies, projects), min_size=1, max_size=5
)
ends = st.lists(
    st.tuples(requests, st.sampled_from(["kept", "lost", "released"])), min_size=1, max_size=3
)


@dataclass
class Page:
    request: str
    body: str
    owner: str
    expires_ms: int
    answer: bytes | None = None
    done: bool = False


class Machine(RuleBasedStateMachine):
    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.world: World = self.stack.enter_context(undone(self.place))
        self.book: dict[tuple[str, str], Page] = {}
        self.sent: dict[str, Wish] = {}
        """A request has one key, one body, one project, for ever."""
        self.living = set(OWNERS)
        for owner in OWNERS:
            self.world.live(owner)
        self.last: tuple[str, Sequence[Wish | Release]] | None = None

    @rule(batch=batches, owner=st.sampled_from(OWNERS))
    def take(self, batch: list[Any], owner: str) -> None:
        items = [self._item(*each) for each in batch]
        expected = [self._taken(item, owner) for item in items]
        assert self.world.take(*items, owner=owner) == expected
        self.last = (owner, items)

    @rule(ends=ends)
    def finish(self, ends: list[tuple[int, str]]) -> None:
        ended = []
        for number, how in ends:
            request = f"r{number}"
            body = b"answer of %d" % number
            answer = Answer(200, b"", False, body, b"", b"") if how == "kept" else None
            ended.append(Ended(request, None if how == "released" else KEEP_MS, answer))
        # What is released is released first: it never meets the others, whose requests differ.
        for each in sorted(ended, key=lambda each: each.keep_ms is not None):
            self._end(each)
        self.world.finish(*ended)

    @rule()
    def again(self) -> None:
        """As after a commit of which nobody knows whether it happened, if nothing came after it."""
        if self.last is not None:
            owner, items = self.last
            wishes = [each for each in items if isinstance(each, Wish)]
            before = self.world.rows()
            mine = [each for each in wishes if self._has(each)]
            assert self.world.take(*mine, owner=owner) == [each.request_id for each in mine]
            assert self.world.rows() == before

    @rule(owner=st.sampled_from(OWNERS))
    def die_or_rise(self, owner: str) -> None:
        if owner in self.living:
            self.living.remove(owner)
            self.world.die(owner)
        else:
            self.living.add(owner)
            self.world.live(owner)

    @rule()
    def sweep(self) -> None:
        stale = [
            name
            for name, page in self.book.items()
            if not page.done
            and (page.owner not in self.living or page.expires_ms <= self.world.now_ms)
        ]
        for name in stale:
            del self.book[name]
        assert self.world.release_stale() == len(stale)

    @rule()
    def purge(self) -> None:
        for name in [n for n, p in self.book.items() if p.done and p.expires_ms <= self._now]:
            del self.book[name]
        assert not self.world.purge()

    @rule(ms=st.sampled_from([1, OPEN_MS, KEEP_MS]))
    def wait(self, ms: int) -> None:
        self.world.now_ms += ms

    @invariant()
    def the_rows_are_the_book(self) -> None:
        assert self.world.holders() == {
            name: (page.request, "done" if page.done else "open")
            for name, page in self.book.items()
        }
        for page in self.book.values():
            stored = self.world.stored(page.request)
            assert (stored is not None) == page.done
            assert (None if stored is None else stored.body) == page.answer

    def teardown(self) -> None:
        self.stack.close()

    @property
    def _now(self) -> int:
        return self.world.now_ms

    def _item(self, gives_back: bool, number: int, key: str, body: str, project: str) -> Any:
        request = f"r{number}"
        first = self.sent.setdefault(request, wish(request, key, body, project))
        return release(request, first.key, first.project_id) if gives_back else first

    def _taken(self, item: Wish | Release, owner: str) -> str | None:
        page = self.book.get(item.place)
        if isinstance(item, Release):
            if page is not None and page.request == item.request_id and not page.done:
                del self.book[item.place]
            return None
        if page is None or (page.done and page.expires_ms <= self._now):
            page = Page(item.request_id, str(item.fingerprint), owner, self._now + OPEN_MS)
            self.book[item.place] = page
        return page.request

    def _end(self, ended: Ended) -> None:
        for name, page in list(self.book.items()):
            if page.request != ended.request_id or page.done:
                continue
            if ended.keep_ms is None:
                del self.book[name]
                continue
            page.done, page.expires_ms = True, self._now + ended.keep_ms
            page.answer = None if ended.answer is None else ended.answer.before

    def _has(self, item: Wish) -> bool:
        page = self.book.get(item.place)
        return page is not None and page.request == item.request_id and not page.done


def _run(place: Place, examples: int, steps: int, at: int | None = None) -> None:
    machine = type("ClaimMachine", (Machine,), {"place": place})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    if at is not None:
        machine = seed(at)(machine)
    run_state_machine_as_test(machine, settings=chosen)


def test_the_claims_are_the_book(place: Place) -> None:
    _run(place, examples=40, steps=30)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("at", range(20))
def test_the_claims_are_the_book_for_a_long_time(place: Place, at: int) -> None:
    _run(place, examples=200, steps=50, at=at)

"""Whatever is kept, followed, deleted and expires, in whatever order: a request is answered with what a
plain list of turns says."""

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from portico import errors
from portico.db.database import open_database
from tests.resources.attic import MINE, NEIGHBOUR, Attic, attic, number, said

CALLERS = st.sampled_from([MINE, NEIGHBOUR])


class Kept(RuleBasedStateMachine):
    """The model: by id, whose it is, what it says, what it follows, whether it ended well, until
    when."""

    ids = Bundle("ids")

    runner: ClassVar[asyncio.Runner]
    mine: ClassVar[Attic]
    """One for all examples: each has ids of its own."""
    numbers: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, tuple[Any, list[str], str | None, bool, int | None]] = {}

    @rule(target=ids, by=CALLERS, well=st.integers(0, 5), lasts=st.sampled_from([None, 10, 30]))
    def stored(self, by: Any, well: int, lasts: int | None) -> str:
        return self._store(by, None, bool(well), lasts)

    @rule(
        target=ids,
        before=ids,
        of_another=st.integers(0, 9),
        well=st.integers(0, 9),
        lasts=st.sampled_from([None, 10, 30]),
    )
    def followed(self, before: str, of_another: int, well: int, lasts: int | None) -> str:
        """Whatever a row says: even what the door would have refused."""
        whose = self.model[before][0] if before in self.model else MINE
        by = whose if of_another else (NEIGHBOUR if whose is MINE else MINE)
        return self._store(by, before, bool(well), lasts)

    def _store(self, by: Any, before: str | None, well: bool, lasts: int | None) -> str:
        at = next(self.numbers)
        response_id = f"resp_{number(at)}"
        self.mine.keep(
            response_id,
            given=[said(f"q{at}")],
            made=[said(f"a{at}", "assistant")],
            previous_id=before,
            state="completed" if well else "failed",
            keep_ms=lasts,
            by=by,
        )
        until = None if lasts is None else self.mine.clock.now_ms + lasts
        self.model[response_id] = (by, [f"q{at}", f"a{at}"], before, well, until)
        return response_id

    @rule(response_id=consumes(ids), by=CALLERS)
    def deleted(self, response_id: str, by: Any) -> None:
        """Somebody else's is not, and is told from none by nothing."""
        there = self._there(response_id, by)
        told = self._told(self.mine.responses.delete(by, response_id))
        assert told == (None if there else "resource_not_found")
        if there:
            del self.model[response_id]

    @rule(passed_ms=st.integers(5, 15))
    def time_passes(self, passed_ms: int) -> None:
        self.mine.clock.now_ms += passed_ms

    @rule(response_id=ids, by=CALLERS)
    def asked(self, response_id: str, by: Any) -> None:
        asked = self.mine.words(by, previous_response_id=response_id, input="now")
        assert self._told(asked) == self._context(response_id, by)

    @rule(response_id=ids, by=CALLERS)
    def read(self, response_id: str, by: Any) -> None:
        told = self._told(self.mine.responses.get(by, response_id))
        assert (told != "resource_not_found") == self._there(response_id, by)

    def _told(self, asked: Coroutine[Any, Any, Any]) -> Any:
        """The code, where it is refused."""
        try:
            return self.runner.run(asked)
        except errors.Refusal as refusal:
            return refusal.code

    def _there(self, response_id: str, by: Any) -> bool:
        whose, _, _, _, until = self.model.get(response_id, (None, [], None, True, None))
        return whose is by and (until is None or until > self.mine.clock.now_ms)

    def _context(self, response_id: str, by: Any) -> list[str] | str:
        """The words, or what is refused: first what cannot be followed, then what is not there."""
        words: list[str] = []
        well, at = True, response_id
        while self._there(at, by):
            _, says, before, ended_well, _ = self.model[at]
            words = [*says, *words]
            well = well and ended_well
            if before is None:
                return [*words, "now"] if well else "conflict"
            at = before
        return "previous_response_not_found" if well else "conflict"


Kept.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.fixture(autouse=True)
def _opened(tmp_path: Path) -> Iterator[None]:
    with asyncio.Runner() as runner:
        opened = attic(open_database(tmp_path, ""))
        Kept.runner, Kept.mine = runner, runner.run(opened.__aenter__())
        yield
        runner.run(opened.__aexit__(None, None, None))


TestKept = Kept.TestCase

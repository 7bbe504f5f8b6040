"""What a key may be, what is kept, what counts as the same request."""

import itertools
from dataclasses import dataclass, field

import pytest

from portico import errors
from portico.metering.model import Outcome
from portico.replay.claim import NANO_DIGITS_MAX, Claim
from portico.replay.claims import fingerprint
from portico.replay.model import Answer, Ended
from portico.replay.rules import in_use, key_of
from portico.replay.shelf import Shelf
from tests.replay.world import wish


@pytest.mark.parametrize("key", [b"a", b"!~", b"k" * 255, b"req-1/2:3,4"])
def test_a_key_is_visible_ascii(key: bytes) -> None:
    assert key_of(key) == key.decode()


@pytest.mark.parametrize(
    "key", [b"", b"k" * 256, b"a b", b"a, b", b"\xe9", b"\x7f", b"\x20", b"\0"]
)
def test_anything_else_is_refused(key: bytes) -> None:
    with pytest.raises(errors.Refusal) as refused:
        key_of(key)
    assert refused.value.code == "invalid_idempotency_key"


@dataclass
class Seen:
    """What an operator watches."""

    outcomes: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)

    def keyed(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def not_stored(self, reason: str) -> None:
        self.lacks.append(reason)


@pytest.fixture
def room() -> Shelf:
    return Shelf(1_000, 0)


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        ("completed", True),
        ("out_of_funds", True),
        ("client_gone", False),
        ("drained", False),
        ("refused", False),
        ("upstream_failed", False),
        ("killed", False),
        ("internal_error", False),
    ],
)
def test_only_a_whole_answer_is_kept(room: Shelf, outcome: Outcome, kept: bool) -> None:
    claim = Claim(wish("r1"), room, Seen(), bytes_max=10, keep_ms=5)
    claim.add(b"one")
    claim.complete(b"head", b"two", stream=True, cost=b"%d")
    answer = Answer(200, b"head", True, b"one", b"%d", b"two")
    assert claim.end(outcome) == (Ended("r1", 5, answer) if kept else Ended("r1", None))
    assert claim.ended
    # Its head, its body, and what it costs, written as long as can be.
    assert room.stored_bytes == (4 + 6 + 2 + NANO_DIGITS_MAX if kept else 0)


def test_an_answer_that_its_project_has_no_room_for_is_not_kept_and_its_key_is() -> None:
    room, seen = Shelf(20, 0), Seen()
    answers = []
    for number in range(3):
        claim = Claim(wish(f"r{number}"), room, seen, bytes_max=10, keep_ms=5)
        claim.complete(b"1234", b"1234", stream=True, cost=b"")
        ended = claim.end("completed")
        assert ended.keep_ms == 5
        answers.append(ended.answer is not None)
    assert (answers, seen.lacks) == ([True, True, False], ["no_room"])


def test_what_was_too_large_takes_no_room_and_is_told_once() -> None:
    room, seen = Shelf(20, 0), Seen()
    claim = Claim(wish("r1"), room, seen, bytes_max=3, keep_ms=5)
    claim.complete(b"", b"1234", stream=True, cost=b"")
    assert seen.lacks == [], "nobody has missed it yet"
    claim.end("completed")
    assert (room.stored_bytes, seen.lacks) == (0, ["too_large"])


@pytest.mark.parametrize(
    ("parts", "end", "kept"),
    [
        ([b"12345"], b"12345", True),
        ([b"12345"], b"123456", False),
        ([b"12345", b"123456"], b"", False),
        ([b"12345678901", b"1"], b"", False),
        ([], b"1234567890", True),
    ],
)
def test_an_answer_up_to_the_limit_is_kept(
    room: Shelf, parts: list[bytes], end: bytes, kept: bool
) -> None:
    claim = Claim(wish("r1"), room, Seen(), bytes_max=10, keep_ms=5)
    for part in parts:
        claim.add(part)
    claim.complete(b"", end, stream=True, cost=b"")
    ended = claim.end("completed")
    assert ended.keep_ms == 5
    assert (None if ended.answer is None else ended.answer.body(None)) == (
        b"".join(parts) + end if kept else None
    )


@pytest.mark.anyio
async def test_method_path_and_body_make_a_request() -> None:
    targets = (b"POST /a", b"PUT /a", b"POST /b")
    bodies = (b"", b"x", b"y", b"x" * 2_000_000, b"x" * 1_999_999 + b"y")
    prints = {await fingerprint(*each) for each in itertools.product(targets, bodies)}
    assert len(prints) == len(targets) * len(bodies)
    assert {len(each) for each in prints} == {32}


def test_whoever_waits_is_told_how_long() -> None:
    refusal = in_use(wish("r1"))
    assert refusal.entry.retryable
    assert refusal.retry_after_ms == 1_000
    assert not errors.IDEMPOTENCY_KEY_REUSED.retryable
    assert not errors.IDEMPOTENT_ANSWER_NOT_KEPT.retryable

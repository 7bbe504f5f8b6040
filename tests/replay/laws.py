"""What must hold of claims, each law in a world of its own."""

from collections.abc import Callable

import pytest

from portico.replay.model import Ended
from tests.replay.world import KEEP_MS, NOW_MS, OPEN_MS, World, kept, release, wish

Law = Callable[[World], None]


def the_first_gets_the_key_and_the_others_are_told_who_has_it(world: World) -> None:
    assert world.take(wish("r1")) == ["r1"]
    (standing,) = world.stand(wish("r2", body="b"))
    assert standing is not None
    assert (standing.request_id, standing.state) == ("r1", "open")
    assert standing.fingerprint == wish("r1").fingerprint
    assert standing.expires_at_ms == NOW_MS + OPEN_MS
    assert world.holders() == {("p", "k"): ("r1", "open")}


def of_one_commit_the_first_gets_it(world: World) -> None:
    assert world.take(wish("r1"), wish("r2"), wish("r3", key="l")) == ["r1", "r1", "r3"]
    assert world.holders() == {("p", "k"): ("r1", "open"), ("p", "l"): ("r3", "open")}


def projects_and_keys_do_not_meet(world: World) -> None:
    items = [wish("r1", "k", project="p"), wish("r2", "k", project="q"), wish("r3", "K")]
    assert world.take(*items) == ["r1", "r2", "r3"]
    assert world.take(wish("r4", "k", project="q")) == ["r2"]


def a_commit_that_comes_again_changes_nothing(world: World) -> None:
    items = [wish("r1"), wish("r2"), wish("r3", key="l")]
    first, rows = world.take(*items), world.rows()
    world.now_ms += 1
    assert world.take(*items) == first
    assert world.rows() == rows


def a_key_that_is_given_back_is_free(world: World) -> None:
    world.take(wish("r1"))
    assert world.take(release("r1"), wish("r2")) == [None, "r2"]
    assert world.holders() == {("p", "k"): ("r2", "open")}
    assert world.take(wish("r3"), release("r2"), wish("r4")) == ["r2", None, "r4"]


def taken_and_given_back_in_one_commit_leaves_nothing(world: World) -> None:
    world.take(wish("r1"), release("r1"))
    assert world.rows() == []


def nobody_gives_back_the_key_of_another(world: World) -> None:
    world.take(wish("r1"))
    assert world.take(release("r0"), wish("r2")) == [None, "r1"]
    assert world.release("r0") == set()
    assert world.holders() == {("p", "k"): ("r1", "open")}


def an_answer_that_is_kept_is_given_byte_for_byte(world: World) -> None:
    world.take(wish("r1"), wish("r0", key="other"))
    assert world.stored("r1") is None
    world.finish(kept("r1"), kept("r0"), charged={"r1": 77})
    stored = world.stored("r1")
    assert stored is not None
    assert (stored.request_id, stored.status, stored.stream) == ("r1", 200, True)
    assert stored.head == b"content-type: x\r\n"
    assert stored.body == b"one: cost 77\ntwo"
    (standing,) = world.stand(wish("r2"))
    assert standing is not None
    assert (standing.request_id, standing.state) == ("r1", "done")
    assert standing.expires_at_ms == NOW_MS + KEEP_MS


def what_cost_nothing_says_no_cost(world: World) -> None:
    world.take(wish("r1"))
    world.finish(kept("r1"))
    stored = world.stored("r1")
    assert stored is not None
    assert stored.body == b"onetwo"


def a_key_whose_answer_was_not_kept_is_done_all_the_same(world: World) -> None:
    world.take(wish("r1"))
    world.finish(kept("r1", None))
    stored = world.stored("r1")
    assert stored is not None
    assert stored.body is None
    assert world.take(wish("r2")) == ["r1"]


def the_first_end_counts(world: World) -> None:
    world.take(wish("r1"))
    world.finish(kept("r1"), charged={"r1": 77})
    rows = world.rows()
    world.now_ms += 1
    world.finish(kept("r1", None), kept("r1"))
    world.finish(_released("r1"))
    assert world.take(release("r1"), wish("r2")) == [None, "r1"]
    assert world.release("r1") == set()
    assert world.rows() == rows


def nobody_ends_the_claim_of_another(world: World) -> None:
    world.take(wish("r1"))
    world.release("r1")
    world.take(wish("r2"))
    world.finish(kept("r1"))
    assert world.holders() == {("p", "k"): ("r2", "open")}


def what_is_not_kept_is_free(world: World) -> None:
    world.take(wish("r1"), wish("r2", key="l"))
    world.finish(_released("r1"), kept("r2"))
    assert world.holders() == {("p", "l"): ("r2", "done")}
    assert world.take(wish("r3")) == ["r3"]


def an_answer_is_forgotten_when_its_time_is_over_and_not_before(world: World) -> None:
    world.take(wish("r1"))
    world.finish(kept("r1"))
    world.now_ms += KEEP_MS - 1
    assert world.take(wish("r2", body="b")) == ["r1"]
    world.now_ms += 1
    assert world.take(wish("r3", body="b"), wish("r4")) == ["r3", "r3"]
    assert world.stored("r1") is None
    assert world.holders() == {("p", "k"): ("r3", "open")}


def an_open_claim_is_never_free_by_its_age_alone(world: World) -> None:
    world.take(wish("r1"))
    world.now_ms += OPEN_MS
    assert world.take(wish("r2")) == ["r1"]


def the_claims_of_the_dead_are_free_and_those_of_the_living_are_not(world: World) -> None:
    world.live("inst_1")
    world.live("inst_2")
    world.take(wish("r1"), wish("r2", key="done"))
    world.take(wish("r3", key="l"), owner="inst_2")
    world.finish(kept("r2"))
    assert world.release_stale() == 0
    world.die("inst_1")
    assert world.release_stale() == 1
    assert world.holders() == {("p", "l"): ("r3", "open"), ("p", "done"): ("r2", "done")}


def an_open_claim_that_no_request_can_have_any_more_is_freed(world: World) -> None:
    world.live("inst_1")
    world.take(wish("r1"), wish("r2", key="l"))
    world.finish(kept("r2"))
    world.now_ms += OPEN_MS - 1
    assert world.release_stale() == 0
    world.now_ms += 1
    assert world.release_stale() == 1
    assert world.holders() == {("p", "l"): ("r2", "done")}


def only_what_is_over_is_purged_some_at_a_time(world: World) -> None:
    over = [wish(f"r{n}", key=f"k{n}") for n in range(130)]
    world.take(*over, wish("r_open", key="open"))
    world.finish(*[kept(each.request_id) for each in over])
    world.now_ms += 1
    world.take(wish("r_later", key="later"))
    world.finish(kept("r_later"))
    assert world.purge() is False
    world.now_ms += KEEP_MS - 1
    assert world.purge() is True
    assert len(world.rows()) == 32
    assert world.purge() is False
    assert world.holders() == {
        ("p", "open"): ("r_open", "open"),
        ("p", "later"): ("r_later", "done"),
    }


def what_a_project_stores_is_its_answers_and_their_heads(world: World) -> None:
    names = ("r1", "r2", "r3", "r4")
    world.take(*[wish(name, key=name) for name in names], wish("q1", project="q"))
    assert world.stored_bytes("p") == 0
    world.finish(kept("r1"), kept("r2", None), kept("q1"), charged={"r1": 77})
    stored = world.stored("r1")
    assert stored is not None
    assert stored.body is not None
    assert world.stored_bytes("p") == len(stored.head) + len(stored.body) == 33
    world.finish(kept("r3"))
    assert world.stored_bytes("p") == 33 + 17 + 6
    world.now_ms += KEEP_MS
    world.purge()
    assert (world.stored_bytes("p"), world.stored_bytes("q")) == (0, 0)


def thousands_share_a_commit(world: World) -> None:
    items = [wish(f"r{n}", key=f"k{n}") for n in range(4_096)]
    assert world.take(*items) == [f"r{n}" for n in range(4_096)]
    assert world.take(*items) == [f"r{n}" for n in range(4_096)]
    assert world.release(*[f"r{n}" for n in range(4_096)]) == {f"r{n}" for n in range(4_096)}


def the_database_itself_lets_a_key_be_taken_once(world: World) -> None:
    def add(request: str, key: str, state: str = "open") -> None:
        with world.step() as transaction:
            transaction.run(
                "INSERT INTO idempotency_key VALUES ('p', ?, ?, ?, 'i', ?, 0, ?, 0, NULL, 1, 2)",
                (key, b"f", request, state, b""),
            )

    add("r1", "k")
    for request, key, state in (("r2", "k", "open"), ("r1", "l", "open"), ("r3", "m", "gone")):
        with pytest.raises(Exception, match=r"(?i)unique|check"):
            add(request, key, state)


def _released(request: str) -> Ended:
    return Ended(request, None)


LAWS: list[Law] = [
    the_first_gets_the_key_and_the_others_are_told_who_has_it,
    of_one_commit_the_first_gets_it,
    projects_and_keys_do_not_meet,
    a_commit_that_comes_again_changes_nothing,
    a_key_that_is_given_back_is_free,
    taken_and_given_back_in_one_commit_leaves_nothing,
    nobody_gives_back_the_key_of_another,
    an_answer_that_is_kept_is_given_byte_for_byte,
    what_cost_nothing_says_no_cost,
    a_key_whose_answer_was_not_kept_is_done_all_the_same,
    the_first_end_counts,
    nobody_ends_the_claim_of_another,
    what_is_not_kept_is_free,
    an_answer_is_forgotten_when_its_time_is_over_and_not_before,
    an_open_claim_is_never_free_by_its_age_alone,
    the_claims_of_the_dead_are_free_and_those_of_the_living_are_not,
    an_open_claim_that_no_request_can_have_any_more_is_freed,
    only_what_is_over_is_purged_some_at_a_time,
    what_a_project_stores_is_its_answers_and_their_heads,
    thousands_share_a_commit,
    the_database_itself_lets_a_key_be_taken_once,
]

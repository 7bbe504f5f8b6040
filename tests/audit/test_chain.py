"""The chain: written with the change, whole, and whatever is done to it is found."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, revoke_key
from portico.accounts.service import open_accounts
from portico.audit import service, store
from portico.audit.model import Actor, Event
from portico.audit.rules import FIRST, details_hash, link
from portico.audit.verify import Entry, Head, message, verify
from portico.billing.proofs.keys import is_signed, key_of
from portico.cli.tenants.audit import _lines
from portico.db.database import Database, open_database
from portico.errors import Refusal
from tests.db.storage import HandClock

ADA = Actor("user", "user_ada", "key_1", "203.0.113.7")
KEY = key_of(b"s" * 32)
KEYS = {KEY.id: partial(is_signed, KEY.public)}


def chain(organisation_id: str, length: int) -> list[Entry]:
    entries, previous = list[Entry](), FIRST
    for number in range(1, length + 1):
        before, after = None, f'{{"n":{number}}}'
        event = link(
            organisation_id,
            number,
            1_000 + number,
            ADA,
            "key.create",
            f"key_{number}",
            details_hash(before, after),
            previous,
        )
        entries.append(Entry(event, before, after, redacted=False))
        previous = event.hash
    return entries


def head_of(entry: Entry) -> Head:
    event = entry.event
    signature = KEY.sign(message(event.organisation_id, event.sequence, event.hash))
    return Head(event.organisation_id, event.sequence, KEY.id, event.hash, 0, signature)


def test_a_chain_that_nobody_touched_is_right() -> None:
    entries = [*chain("", 3), *chain("org_1", 4)]
    verdict = verify(entries, [head_of(entries[2]), head_of(entries[-1])], KEYS)
    assert verdict.ok
    assert (verdict.events, verdict.chains, verdict.heads) == (7, 2, 2)


ROW = st.integers(0, 5)


@given(ROW, st.sampled_from(Event.__slots__), st.integers(0, 255))  # type: ignore[attr-defined]  # a slotted dataclass
def test_any_fact_that_was_changed_is_found(row: int, name: str, flip: int) -> None:
    entries = chain("org_1", 6)
    event = entries[row].event
    facts = {each: getattr(event, each) for each in Event.__slots__}  # type: ignore[attr-defined]
    changed = _other(facts[name], flip)
    if changed == facts[name]:
        return
    entries[row] = Entry(
        Event(**{**facts, name: changed}), entries[row].before, entries[row].after, redacted=False
    )
    assert not verify(entries, [], {}).ok


def _other(value: Any, flip: int) -> Any:
    if isinstance(value, bytes):
        at = flip % len(value)
        return value[:at] + bytes([value[at] ^ (flip | 1) & 0xFF]) + value[at + 1 :]
    if isinstance(value, int):
        return value + flip
    if isinstance(value, Actor):
        return Actor(value.kind, f"{value.id}{flip}", value.credential_id, value.address)
    return f"{value}{flip}"


@given(ROW, st.sampled_from(["before", "after"]))
def test_details_that_were_changed_are_found(row: int, side: str) -> None:
    entries = chain("org_1", 6)
    told = {"before": entries[row].before, "after": entries[row].after, side: '{"n":0}'}
    entries[row] = Entry(entries[row].event, **told, redacted=False)
    assert not verify(entries, [], {}).ok


@given(ROW)
def test_an_event_that_was_taken_out_is_found(row: int) -> None:
    entries = chain("org_1", 6)
    head = head_of(entries[-1])
    del entries[row]
    verdict = verify(entries, [head], KEYS)
    assert not verdict.ok  # of the last one only the signed head knows


@given(ROW, ROW)
def test_events_that_changed_places_are_found(one: int, other: int) -> None:
    entries = chain("org_1", 6)
    entries[one], entries[other] = entries[other], entries[one]
    assert verify(entries, [], {}).ok is (one == other)


def test_a_chain_written_anew_does_not_fit_its_signed_head() -> None:
    head = head_of(chain("org_1", 6)[3])
    again = [*chain("org_1", 2), *chain("org_1", 6)[2:]]
    assert verify(again, [head], KEYS).ok
    nothing, other, previous = details_hash(None, None), list[Entry](), FIRST
    for number in range(1, 5):
        event = link("org_1", number, 0, ADA, "x", "y", nothing, previous)
        other.append(Entry(event, None, None, redacted=False))
        previous = event.hash
    assert verify(other, [], {}).ok
    (fault,) = verify(other, [head], KEYS).faults
    assert "signed with another hash" in fault.wrong


@pytest.mark.parametrize(
    ("sequences", "parted", "wrong"),
    [
        ((1, 3, 4), None, "it follows number 1"),
        ((2, 3, 4), None, "it follows number 0"),
        ((1, 2, 3), 1, "does not name the hash"),
        ((1, 2, 3), 0, "does not name the hash"),
    ],
)
def test_links_that_were_made_anew_do_not_hold(
    sequences: tuple[int, ...], parted: int | None, wrong: str
) -> None:
    """Each with the hash of its own facts."""
    entries, previous = list[Entry](), FIRST
    for at, sequence in enumerate(sequences):
        before = bytes(31) + b"x" if at == parted else previous
        nothing = details_hash(None, None)
        event = link("org_1", sequence, 0, ADA, "x", "y", nothing, before)
        entries.append(Entry(event, None, None, redacted=False))
        previous = event.hash
    (fault,) = verify(entries, [], {}).faults
    assert wrong in fault.wrong


def test_a_new_key_signs_what_an_old_one_signed(database: Database, tmp_path: Path) -> None:
    open_accounts(database, tmp_path, HandClock())
    other = key_of(b"o" * 32)
    for key, made in ((KEY, 1), (other, 1), (KEY, 0)):
        signed = database.write(lambda c, key=key: service.sign_heads(c, key.id, key.sign, 0))
        assert len(signed) == made
    keys = {**KEYS, other.id: partial(is_signed, other.public)}
    verdict = database.read(lambda c: service.verify_all(c, keys))
    assert (verdict.ok, verdict.heads, verdict.unknown_heads) == (True, 2, 0)


def test_a_head_of_somebody_else_s_making_is_found() -> None:
    entries = chain("org_1", 2)
    stranger = key_of(b"x" * 32)
    event = entries[-1].event
    words = message(event.organisation_id, event.sequence, event.hash)
    head = Head("org_1", 2, KEY.id, event.hash, 0, stranger.sign(words))
    assert not verify(entries, [head], KEYS).ok
    assert (
        verify(entries, [Head("org_1", 2, "rk_gone", event.hash, 0, b"")], KEYS).unknown_heads == 1
    )


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(tmp_path)


Change = Callable[[Connection], object]


def test_a_change_and_its_event_are_one(database: Database, tmp_path: Path) -> None:
    clock = HandClock()
    peppers, first = open_accounts(database, tmp_path, clock)
    assert first is not None
    before = database.read(lambda c: list(store.entries(c)))
    assert [entry.event.action for entry in before] == [
        "organisation.create",
        "terms.set",
        "project.create",
        "key.create",
    ]
    for wrong in (KeyWish(""), KeyWish("a", scopes=("fly",))):
        with pytest.raises(Refusal):
            database.write(lambda c, wish=wrong: create_key(operator(c, clock), peppers, wish))
    assert database.read(lambda c: list(store.entries(c))) == before
    database.write(lambda c: revoke_key(operator(c, clock), first.key.id, "leaked"))
    (newest,) = database.read(lambda c: store.newest(c, before[0].event.organisation_id, None, 1))
    assert (newest.event.action, newest.event.target) == ("key.revoke", first.key.id)
    assert newest.after is not None
    assert '"reason":"leaked"' in newest.after
    secret = hashlib.sha256(first.secret.encode()).hexdigest()
    for entry in database.read(lambda c: list(store.entries(c))):
        for text in (entry.before or "", entry.after or ""):
            assert first.secret not in text
            assert secret not in text


def test_what_is_blacked_out_leaves_the_chain_whole(database: Database, tmp_path: Path) -> None:
    clock = HandClock()
    open_accounts(database, tmp_path, clock)
    (organisation_id,) = {e.event.organisation_id for e in database.read(_all)}
    database.write(lambda c: service.sign_heads(c, KEY.id, KEY.sign, 0))
    assert database.write(lambda c: service.redact(c, 0, ADA, organisation_id, 2))
    assert not database.write(lambda c: service.redact(c, 0, ADA, organisation_id, 2))
    assert not database.write(lambda c: service.redact(c, 0, ADA, organisation_id, 99))
    entries = database.read(_all)
    assert (entries[1].after, entries[1].redacted) == (None, True)
    assert entries[-1].event.action == "audit.redact"
    assert database.read(lambda c: service.verify_all(c, KEYS)).ok


@pytest.mark.parametrize("number", [1, 4])
def test_what_is_blacked_out_without_a_word_is_found(
    database: Database, tmp_path: Path, number: int
) -> None:
    open_accounts(database, tmp_path, HandClock())
    database.write(
        lambda c: c.exec_driver_sql(
            "UPDATE audit_detail SET before = NULL, after = NULL, redacted_at_ms = 1 "
            f"WHERE sequence = {number}"
        )
    )
    (fault,) = database.read(lambda c: service.verify_all(c, {})).faults
    assert (fault.sequence, "no event says so" in fault.wrong) == (number, True)
    # Nor does that of another chain, or of another event.
    organisation_id = fault.organisation_id
    for whose, target in (("", number), (organisation_id, number + 100)):
        database.write(
            lambda c, whose=whose, target=target: service.record(
                c, 0, ADA, whose, "audit.redact", str(target), None, None
            )
        )
    assert database.read(lambda c: service.verify_all(c, {})).faults == (fault,)


def test_a_detail_that_was_taken_away_is_found(database: Database, tmp_path: Path) -> None:
    open_accounts(database, tmp_path, HandClock())
    database.write(lambda c: c.exec_driver_sql("DELETE FROM audit_detail WHERE sequence = 3"))
    assert [f.sequence for f in database.read(lambda c: service.verify_all(c, {})).faults] == [3]


def test_a_chain_moved_to_another_organisation_is_found() -> None:
    entries = [
        Entry(replace(entry.event, organisation_id="org_2"), entry.before, entry.after, False)
        for entry in chain("org_1", 3)
    ]
    assert len(verify(entries, [], {}).faults) == 3


@pytest.mark.parametrize("name", Actor.__slots__)  # type: ignore[attr-defined]  # a slotted dataclass
def test_every_word_about_who_it_was_is_in_the_hash(name: str) -> None:
    entry = chain("org_1", 1)[0]
    actor = replace(entry.event.actor, **{name: "system"})
    forged = Entry(replace(entry.event, actor=actor), entry.before, entry.after, redacted=False)
    assert not verify([forged], [], {}).ok


def test_an_export_can_be_verified_by_whoever_has_nothing_else(
    database: Database, tmp_path: Path
) -> None:
    """By the words of the guide: SHA-256 over JSON without blanks, members by name."""
    open_accounts(database, tmp_path, HandClock())
    for name in ("Zoë \u2028 株式会社", 'a"b\\c', "x" * 200):
        database.write(
            lambda c, name=name: service.record(
                c, 7, ADA, "org_x", "key.create", name, None, {"name": name, "n": [1, None, 0.5]}
            )
        )
    previous: dict[str, str] = {}
    for line in database.read(lambda c: list(_lines(service.entries(c)))):
        assert line.count("\n") == 1
        told = json.loads(line)
        sides = [
            None if told[side] is None else _canonical(told[side]) for side in ("before", "after")
        ]
        assert hashlib.sha256(_canonical(sides).encode()).hexdigest() == told["details_hash"]
        whose = told["organisation_id"]
        assert told["previous_hash"] == previous.get(whose, "00" * 32)
        actor = told["actor"]
        facts = [
            whose,
            told["sequence"],
            told["at_ms"],
            [actor["kind"], actor["id"], actor["credential_id"], actor["address"]],
            told["action"],
            told["target"],
            told["details_hash"],
            told["previous_hash"],
        ]
        assert hashlib.sha256(_canonical(facts).encode()).hexdigest() == told["hash"]
        previous[whose] = told["hash"]
    assert len(previous) == 2


def _canonical(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def test_two_who_write_at_once_make_one_chain(tmp_path: Path, database_url: str) -> None:
    open_database(tmp_path, database_url)
    threads, each = 4, 8

    def write(number: int) -> None:
        own = open_database(tmp_path, database_url)
        for at in range(each):
            own.write(
                lambda c, at=at: service.record(
                    c, at, ADA, "org_1", "key.update", f"key_{number}_{at}", None, {"n": at}
                )
            )

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    verdict = open_database(tmp_path, database_url).read(lambda c: service.verify_all(c, {}))
    assert (verdict.ok, verdict.events, verdict.chains) == (True, threads * each, 1)


def test_heads_are_signed_once_and_again_when_a_chain_has_grown(
    database: Database, tmp_path: Path
) -> None:
    clock = HandClock()
    peppers, _ = open_accounts(database, tmp_path, clock)
    signed = partial(database.write, lambda c: service.sign_heads(c, KEY.id, KEY.sign, 0))
    assert [len(signed()), len(signed())] == [1, 0]
    database.write(lambda c: create_key(operator(c, clock), peppers, KeyWish("a")))
    assert [len(signed()), len(signed())] == [1, 0]
    assert database.read(lambda c: service.verify_all(c, KEYS)).heads == 2


def test_a_byte_that_was_flipped_in_the_file_is_found(database: Database, tmp_path: Path) -> None:
    open_accounts(database, tmp_path, HandClock())

    def forge(connection: Connection) -> None:
        for name in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER audit_event_refuses_{name}")
        connection.exec_driver_sql("UPDATE audit_event SET target = 'key_x' WHERE sequence = 4")

    database.write(forge)
    (fault,) = database.read(lambda c: service.verify_all(c, {})).faults
    assert (fault.sequence, fault.wrong) == (4, "its hash is not that of its facts")


def _all(connection: Connection) -> list[Entry]:
    return list(store.entries(connection))

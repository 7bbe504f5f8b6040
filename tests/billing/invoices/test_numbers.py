"""Numbers have no gap and no double, whoever races and whoever dies."""

import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from bench.faults.place import PROCESSES, Address, Place
from portico.billing.invoices import service
from portico.billing.invoices.check import invoice_differences
from portico.db.database import Database, open_database
from portico.db.transaction import Transaction
from tests.billing.invoices.racers import (
    NOW_MS,
    OWNERS,
    credit_all,
    credit_once,
    die_before_commit,
    done,
    finalise_all,
    pay_all,
    pay_once,
)
from tests.billing.invoices.shop import DOLLAR, SELLER, UNTAXED, Shop, ms, seller

WORKERS = 3


@pytest.fixture
def shop(database: Database) -> Shop:
    made = Shop(database, *OWNERS, now_ms=ms("2026-02-03"))
    made.taxes("DE", 1900)
    for owner in OWNERS:
        made.may_owe(10 * DOLLAR, owner)
        made.uses({"input_text": 1_000_000}, owner)
    made.now_ms = NOW_MS
    return made


@pytest.fixture
def address(shop: Shop, tmp_path: Path, database_url: str) -> Address:
    return Address(tmp_path, database_url)


def race(work: Callable[[int], list[str]]) -> list[str]:
    PROCESSES.set_forkserver_preload([finalise_all.__module__])
    with ProcessPoolExecutor(WORKERS, mp_context=PROCESSES) as pool:
        return [each for found in pool.map(work, range(0, 2 * WORKERS, 2)) for each in found]


def right(shop: Shop) -> None:
    found = shop.do(lambda t: list(invoice_differences(t)))
    assert [name for name, ok in found if not ok] == []


def test_racing_processes_leave_no_gap_and_no_double(shop: Shop, address: Address) -> None:
    answers = race(partial(finalise_all, address))
    numbers = sorted(each for each in answers if each.startswith("INV"))
    assert numbers == [f"INV-2026-{number:06d}" for number in range(1, len(OWNERS) + 1)]
    assert set(answers) - set(numbers) <= {"Overtaken", "NotInvoiced"}
    assert shop.rows("SELECT last FROM invoice_series") == [(len(OWNERS),)]
    right(shop)


def test_racing_notes_never_exceed_their_line(shop: Shop, address: Address) -> None:
    invoice = shop.invoice("2026-02")
    answers = race(partial(credit_all, address, invoice.id))
    assert sorted(each for each in answers if each.startswith("CN")) == [
        f"CN-2026-{number:06d}" for number in range(1, 5)
    ]
    assert shop.outstanding(invoice) == 0
    right(shop)


def test_racing_payments_never_exceed_their_invoice(shop: Shop, address: Address) -> None:
    invoice = shop.invoice("2026-02")  # $2.38
    answers = race(partial(pay_all, address, invoice.id))
    booked = [each for each in answers if each.startswith("bank")]
    assert len(booked) == len(set(booked)) == 3
    assert shop.outstanding(invoice) == 238 - 180
    right(shop)


def while_it_waits(address: Address, work: Callable[[Transaction], str]) -> list[str]:
    """`work` in two transactions of PostgreSQL: the second one begins before the first one ends."""
    first, second = Place(address), Place(address)
    answers: list[str] = []
    with first.open() as transaction:
        answers.append(work(transaction))
        other = Thread(target=lambda: answers.append(done(second, work)))
        other.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while other.is_alive() and not transaction.rows(waits):
            other.join(0.01)
    other.join()
    first.close()
    second.close()
    return answers


@pytest.fixture
def meeting(postgres_url: str, tmp_path: Path) -> tuple[Shop, Address]:
    made = Shop(open_database(tmp_path, postgres_url), now_ms=ms("2026-02-03"))
    made.may_owe(10 * DOLLAR)
    made.uses({"input_text": 1_000_000})
    made.now_ms = NOW_MS
    return made, Address(tmp_path, postgres_url)


def test_a_second_note_waits_for_the_first(meeting: tuple[Shop, Address]) -> None:
    shop, address = meeting
    invoice = shop.invoice("2026-02", by=seller(party=UNTAXED))
    work = partial(credit_once, invoice_id=invoice.id, nano=2 * DOLLAR)
    assert while_it_waits(address, work) == ["CN-2026-000001", "NotInvoiced"]
    right(shop)


def test_a_second_payment_waits_for_the_first(meeting: tuple[Shop, Address]) -> None:
    shop, address = meeting
    invoice = shop.invoice("2026-02", by=seller(party=UNTAXED))
    references = iter("ab")

    def work(transaction: Transaction) -> str:
        return pay_once(transaction, invoice.id, 200, next(references))

    assert while_it_waits(address, work) == ["a", "NotInvoiced"]
    right(shop)


def test_a_second_number_waits_for_the_first(meeting: tuple[Shop, Address]) -> None:
    shop, address = meeting
    shop.do(lambda t: service.take_number(t, SELLER, "invoice", NOW_MS))

    def work(transaction: Transaction) -> str:
        return service.take_number(transaction, SELLER, "invoice", NOW_MS).text

    assert while_it_waits(address, work) == ["INV-2026-000002", "INV-2026-000003"]


def test_a_process_that_dies_before_the_commit_leaves_no_gap(shop: Shop, address: Address) -> None:
    child = PROCESSES.Process(target=die_before_commit, args=(address,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    shop.database = open_database(address.folder, address.url)
    assert shop.rows("SELECT * FROM invoice_series") == []
    assert [shop.invoice("2026-02", owner).number for owner in OWNERS[:2]] == [
        "INV-2026-000001",
        "INV-2026-000002",
    ]
    right(shop)


def test_each_year_begins_anew_and_dates_follow_numbers(shop: Shop) -> None:
    shop.now_ms = ms("2026-12-31T23:59")
    last = shop.invoice("2026-02", "org_1")
    shop.now_ms = ms("2026-12-31T23:58")  # a machine whose clock is behind
    behind = shop.invoice("2026-02", "org_2")
    shop.now_ms = ms("2027-01-01")
    first = shop.invoice("2026-02", "org_3")
    assert [last.number, behind.number, first.number] == [
        "INV-2026-000001",
        "INV-2026-000002",
        "INV-2027-000001",
    ]
    assert behind.issued_at_ms == last.issued_at_ms


def test_a_number_that_is_given_twice_is_refused_by_the_database(shop: Shop) -> None:
    shop.invoice("2026-02", "org_1")
    shop.do(lambda t: t.run("UPDATE invoice_series SET last = 0"))
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        shop.invoice("2026-02", "org_2")

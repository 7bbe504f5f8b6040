"""Whatever a command changes stands in the audit log."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from portico.accounts.keys.model import KeyWish
from portico.accounts.service import open_accounts
from portico.db.database import Database, open_database
from portico.kit.clock import SystemClock
from portico.resources.batches import store
from portico.resources.batches.model import Batch
from tests.whole.conftest import portico

CLI = Path(__file__).parents[2] / "portico" / "cli"
UNNOTED = {
    "money/credit.py:expire": "a server does so by itself; the books have it",
    "money/alert.py:try_out": "a test message, kept with the alerts",
    "tenants/audit.py:sign": "signs the log itself",
    "tenants/contents.py:_erased": "a piece of what is noted when it has gone",
}
"""Functions of commands that write without a line, and why."""


def unnoted() -> set[str]:
    """Where `database.write` is called with a change that notes nothing itself."""
    found = set()
    for path in sorted(CLI.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            text = ast.unparse(function)
            if "database.write(" in text and "operator(" not in text:
                found.add(f"{path.relative_to(CLI)}:{function.name}")
    return found


def test_every_write_of_a_command_is_noted_or_stands_in_the_list() -> None:
    assert unnoted() == UNNOTED.keys()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, str]:
    folder = tmp_path_factory.mktemp("noted")
    database = open_database(folder)
    open_accounts(database, folder, SystemClock(), KeyWish("first"))
    found = database.read(lambda c: c.exec_driver_sql("SELECT id FROM organisation").scalar())
    return database, str(found)


def run(database: Database, *words: str) -> Any:
    done = portico(*words, "--data-dir", str(database.data_dir))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


def lines(database: Database) -> list[tuple[str, str]]:
    """(whose chain, action) of all, in their order."""
    query = "SELECT organisation_id, action FROM audit_event ORDER BY rowid"
    return [tuple(row) for row in database.read(lambda c: c.exec_driver_sql(query).all())]


def test_money_and_caps(place: tuple[Database, str]) -> None:
    database, organisation = place
    before = len(lines(database))
    budget = run(
        *(database, "budget", "set", "organisation", organisation),
        *("--period", "month", "--usd", "5", "--json"),
    )["id"]
    run(database, "alert", "set", budget, "--at", "50")
    run(database, "budget", "remove", budget)
    allowance = run(
        *(database, "allowance", "set", organisation, "--usd", "1", "--period", "day", "--json")
    )["id"]
    run(database, "allowance", "end", allowance)
    for _ in range(2):  # the second time it does nothing
        run(database, "credit", "grant", organisation, "--usd", "1", "--id", "grant_1")
    run(database, "credit", "limit", organisation, "--usd", "1")
    run(database, "invoice", "customer", organisation, "--name", "Kundin AG", "--country", "CH")
    run(database, "invoice", "tax-rate", "CH", "8.1")
    for word in ("freeze", "freeze", "thaw", "thaw"):
        run(database, "payment", "recharge", word, *(["why"] if word == "freeze" else []))
    expected = {
        organisation: [
            *("budget.set", "budget.alert", "budget.remove", "allowance.set", "allowance.end"),
            *("credit.grant", "credit.limit", "invoice.customer"),
        ],
        "": ["invoice.tax_rate", "recharge.freeze", "recharge.thaw"],
    }
    new = lines(database)[before:]
    assert {owner: [a for of, a in new if of == owner] for owner in expected} == expected


def test_a_batch_that_is_cancelled_once(place: tuple[Database, str]) -> None:
    database, organisation = place
    texts = ("openai", "/v1/embeddings", "in_progress", "file_1", None, None)
    batch = Batch(
        *("batch_1", organisation, "proj_1", "key_1", "key_1", *texts),
        *({}, None, 1, 0, 10**12),
        **dict.fromkeys(
            (
                *("started_at_ms", "finalizing_at_ms", "cancelling_at_ms", "ended_at_ms"),
                *("output_keep_ms", "expires_at_ms"),
            )
        ),
    )
    database.write(lambda connection: store.add(connection, batch))
    before = len(lines(database))
    for _ in range(2):
        run(database, "batch", "cancel", "batch_1")
    assert lines(database)[before:] == [(organisation, "batch.cancel")]

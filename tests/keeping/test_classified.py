"""Every table there is, by what it may hold: one that is new has to be put somewhere."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from portico.db.database import open_database
from portico.db.tables.base import metadata
from portico.keeping import stock
from portico.keeping.takeout import PARTS
from tests.background.warehouse import store
from tests.resources.attic import MINE
from tests.security.canaries import new_canary

CONTENTS = {
    "response",
    "response_event",
    "conversation",
    "conversation_item",
    "batch",
    "batch_line",
    "file",
    "upload",
    "upload_part",
    "idempotency_key",
}
"""What developers ask and are answered, or give to be kept: a project's retention holds for it."""

BY_FILES = {"upload", "upload_part"}
"""They go by a sweep of their own, for bytes lie beside them (`Files.sweep`)."""

WITHOUT = {
    "who there is, and what he may": {
        *("organisation", "project", "api_key", "subject", "member", "project_member", "role"),
        *("invitation", "admin_key", "rate_limit", "budget", "webhook_endpoint"),
    },
    "what was used, in numbers": {"usage_record", "charge", "hold", "chain", "file_room"},
    "money": {
        *("account", "txn", "entry", "terms", "price", "allowance", "payer", "top_up"),
        *("top_up_refund", "dispute", "recharge", "payment_freeze", "payment_event"),
        *("billing_customer", "tax_rate", "invoice_series", "invoice", "invoice_payment"),
        *("dunning", "dunning_notice", "signed_head", "claim", "audit_run"),
    },
    "who changed what": {"audit_event", "audit_detail", "audit_head"},
    "what is told: ids, states and amounts": {"alert", "delivery", "attempt"},
    "what serves, and who works": {"deployment", "drill", "instance"},
}
"""Why it holds nothing of what is asked or answered, and the tables that is true of."""


def test_every_table_has_its_place() -> None:
    places = [CONTENTS, *WITHOUT.values()]
    there = set(metadata.tables)
    assert set().union(*places) == there, "say what a new table may hold"
    assert sum(map(len, places)) == len(there), "one place for each"


def test_what_holds_contents_is_exported() -> None:
    assert {part.table.name for part in PARTS} == CONTENTS


@pytest.mark.parametrize("name", sorted(CONTENTS - BY_FILES))
def test_what_holds_contents_goes_by_its_own_end_or_with_what_it_belongs_to(name: str) -> None:
    kinds = {kind.table.name for kind in stock.KINDS}
    table = metadata.tables[name]
    above = {key.column.table.name for key in table.foreign_keys if key.ondelete == "CASCADE"}
    assert name in kinds or above & kinds
    if name in kinds:
        assert "expires_at_ms" in table.c


@pytest.mark.anyio
async def test_what_is_kept_stands_where_it_is_said_to(tmp_path: Path) -> None:
    """Of everything that can be kept one, whose words are looked for in every row of every table."""
    words, database = new_canary(), open_database(tmp_path)
    async with store(database, tmp_path) as kept:
        await kept.fill(MINE, words)

        def found(connection: Connection) -> set[str]:
            return {
                name
                for name, table in metadata.tables.items()
                if any(words in repr(tuple(row)) for row in connection.execute(select(table)))
            }

        assert database.read(found) == CONTENTS - {"upload_part"}, "its bytes stand on the shelf"

"""Money: prices, terms, accounts, holds, transactions, charges, budgets, serving processes."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, ref, refuse_changes, text, word

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("price", "terms", "txn", "entry", "charge")


def upgrade() -> None:
    _pricing()
    _accounts()
    _transactions()
    _charges()
    _limits()
    for table in APPEND_ONLY:
        refuse_changes(table)


def _pricing() -> None:
    op.create_table(
        "price",
        identifier(),
        text("model"),
        text("meter"),
        text("tier"),
        text("plan"),
        int64("above_input_tokens"),
        int64("nano_per_million", ">= 0"),
        int64("effective_from_ms"),
        text("author"),
        int64("created_at_ms"),
        sa.UniqueConstraint(
            "model", "meter", "tier", "plan", "above_input_tokens", "effective_from_ms"
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "terms",
        identifier(),
        ref("organisation_id", "organisation.id"),
        word("kind", "internal", "free", "prepaid", "postpaid", "commit"),
        text("plan"),
        int64("share_numerator", ">= 0"),
        int64("share_denominator", "> 0"),
        text("discounts"),
        text("consent"),
        int64("effective_from_ms"),
        text("author"),
        int64("created_at_ms"),
        sa.UniqueConstraint("organisation_id", "effective_from_ms"),
        sqlite_strict=True,
    )
    # Until now there was one way to get an organisation: the first start, which makes the
    # operator's own.  Its use goes on being charged nothing.
    op.execute(
        "INSERT INTO terms SELECT 'terms_' || id, id, 'internal', '', 1, 1, '[]', '', "
        "created_at_ms, 'first start', created_at_ms FROM organisation"
    )


def _accounts() -> None:
    op.create_table(
        "account",
        identifier(),
        text("kind"),
        text("organisation_id"),
        int64("posted_nano"),
        int64("held_nano", ">= 0"),
        sa.Column("floor_nano", Int64),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("expires_at_ms", Int64),
        int64("created_at_ms"),
        sa.CheckConstraint("floor_nano IS NULL OR posted_nano - held_nano >= floor_nano"),
        sqlite_strict=True,
    )
    op.create_index("account_by_organisation", "account", ["organisation_id"])
    funding = sa.text(
        "kind IN ('prepaid', 'promo', 'receivable') AND (posted_nano > 0 OR kind = 'receivable')"
    )
    op.create_index(
        "account_funding",
        "account",
        ["organisation_id"],
        sqlite_where=funding,
        postgresql_where=funding,
    )
    op.create_table(
        "hold",
        identifier(),
        text("organisation_id"),
        word("state", "open", "settled", "void", "expired"),
        int64("amount_nano", "> 0"),
        text("parts"),
        text("quote"),
        text("owner"),
        int64("opened_at_ms"),
        int64("ttl_ms", "> 0"),
        sa.Column("resolved_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index(
        "hold_open",
        "hold",
        ["opened_at_ms"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _transactions() -> None:
    op.create_table(
        "txn",
        identifier(),
        text("kind"),
        text("organisation_id"),
        text("reason"),
        int64("created_at_ms"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry",
        ref("txn_id", "txn.id", key=True),
        ref("account_id", "account.id", key=True),
        int64("amount_nano", "<> 0"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    beside_charges = sa.text("substr(txn_id, 1, 7) <> 'settle:'")
    op.create_index(
        "entry_beside_charges",
        "entry",
        ["account_id"],
        sqlite_where=beside_charges,
        postgresql_where=beside_charges,
    )


def _charges() -> None:
    op.create_table(
        "charge",
        identifier(),
        text("organisation_id"),
        text("project_id"),
        text("key_id"),
        int64("sequence"),
        text("model"),
        text("tier"),
        text("outcome"),
        text("lines"),
        text("terms_id"),
        int64("list_nano", ">= 0"),
        int64("net_nano", ">= 0"),
        int64("absorbed_nano", ">= 0"),
        int64("charged_at_ms"),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("organisation_id", "sequence"),
        sqlite_strict=True,
    )
    op.create_table(
        "chain",
        sa.Column("organisation_id", sa.Text, primary_key=True, nullable=False),
        int64("sequence"),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def _limits() -> None:
    op.create_table(
        "budget",
        identifier(),
        ref("organisation_id", "organisation.id"),
        word("scope", "organisation", "project", "key"),
        text("scope_id"),
        word("period", "day", "month"),
        int64("cap_nano", ">= 0"),
        text("alert_percents"),
        text("webhook_url"),
        text("mail"),
        int64("created_at_ms"),
        sa.UniqueConstraint("scope", "scope_id", "period"),
        sqlite_strict=True,
    )
    op.create_table(
        "instance", identifier(), int64("started_at_ms"), int64("beat_at_ms"), sqlite_strict=True
    )

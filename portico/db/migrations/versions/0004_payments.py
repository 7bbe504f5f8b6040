"""Orders of credit, what became of them, recharge, events of the payment provider."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, ref, text, word

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_EXACT = "amount_nano = amount_minor * 10000000"


def upgrade() -> None:
    op.create_table(
        "payer",
        ref("organisation_id", "organisation.id", key=True),
        sa.Column("customer_id", sa.Text, nullable=False, unique=True),
        text("payment_method_id"),
        int64("created_at_ms"),
        sqlite_strict=True,
    )
    _top_ups()
    _going_back()
    _recharge()
    op.create_table(
        "payment_event",
        identifier(),
        text("kind"),
        text("object_id"),
        text("outcome"),
        int64("received_at_ms"),
        sqlite_strict=True,
    )


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=only, postgresql_where=only)


def _top_ups() -> None:
    op.create_table(
        "top_up",
        identifier(),
        ref("organisation_id", "organisation.id"),
        word("origin", "manual", "recharge"),
        word("state", "open", "paid", "failed"),
        int64("amount_minor", "> 0"),
        int64("amount_nano"),
        word("currency", "usd"),
        text("method"),
        text("customer_id"),
        text("payment_method_id"),
        text("intent_id"),
        text("says"),
        int64("created_at_ms"),
        int64("checked_at_ms"),
        sa.Column("closed_at_ms", Int64),
        sa.CheckConstraint(_EXACT),
        sa.CheckConstraint("state <> 'paid' OR intent_id <> ''"),
        sqlite_strict=True,
    )
    _index("top_up_by_intent", "top_up", ["intent_id"], "intent_id <> ''", unique=True)
    one = "origin = 'recharge' AND state = 'open'"
    _index("top_up_one_recharge", "top_up", ["organisation_id"], one, unique=True)
    _index("top_up_open", "top_up", ["checked_at_ms"], "state = 'open'")
    op.create_index("top_up_by_organisation", "top_up", ["organisation_id", "created_at_ms"])


def _going_back() -> None:
    op.create_table(
        "top_up_refund",
        identifier(),
        ref("top_up_id", "top_up.id"),
        int64("amount_minor", "> 0"),
        int64("amount_nano"),
        word("state", "open", "paid", "failed"),
        text("provider_id"),
        text("reason"),
        int64("created_at_ms"),
        sa.Column("closed_at_ms", Int64),
        sa.CheckConstraint(_EXACT),
        sqlite_strict=True,
    )
    op.create_index("top_up_refund_by_top_up", "top_up_refund", ["top_up_id"])
    _index("top_up_refund_open", "top_up_refund", ["created_at_ms"], "state = 'open'")
    op.create_table(
        "dispute",
        identifier(),
        ref("top_up_id", "top_up.id"),
        int64("amount_minor", "> 0"),
        int64("amount_nano"),
        word("state", "open", "won", "lost"),
        int64("opened_at_ms"),
        sa.Column("closed_at_ms", Int64),
        sa.CheckConstraint(_EXACT),
        sqlite_strict=True,
    )
    op.create_index("dispute_by_top_up", "dispute", ["top_up_id"])


def _recharge() -> None:
    op.create_table(
        "recharge",
        ref("organisation_id", "organisation.id", key=True),
        sa.Column("enabled", sa.Integer, sa.CheckConstraint("enabled IN (0, 1)"), nullable=False),
        int64("threshold_nano", ">= 0"),
        int64("target_nano"),
        int64("cap_minor", "> 0"),
        sa.Column("declines", sa.Integer, sa.CheckConstraint("declines >= 0"), nullable=False),
        int64("rests_until_ms"),
        text("says"),
        text("author"),
        int64("changed_at_ms"),
        sa.CheckConstraint("target_nano > threshold_nano"),
        sqlite_strict=True,
    )
    op.create_table(
        "payment_freeze",
        sa.Column(
            "id",
            sa.Text,
            sa.CheckConstraint("id IN ('recharge')"),
            primary_key=True,
            nullable=False,
        ),
        text("reason"),
        int64("frozen_at_ms"),
        sqlite_strict=True,
    )

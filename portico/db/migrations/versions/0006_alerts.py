"""Signed ends of chains, audits, alerts and their deliveries."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, ref, refuse_changes, text, word

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

APPEND_ONLY = ("signed_head", "audit_run", "alert", "attempt")


def upgrade() -> None:
    _audits()
    _alerts()
    for table in APPEND_ONLY:
        refuse_changes(table)


def _audits() -> None:
    op.create_table(
        "signed_head",
        sa.Column("organisation_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
        sa.Column("key_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        int64("signed_at_ms"),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_table("claim", identifier(), text("owner"), int64("due_at_ms"), sqlite_strict=True)
    op.create_table(
        "audit_run",
        identifier(),
        text("owner"),
        int64("started_at_ms"),
        int64("duration_ms"),
        int64("violations", ">= 0"),
        text("verdicts"),
        sqlite_strict=True,
    )


def _alerts() -> None:
    op.create_table(
        "alert",
        identifier(),
        text("kind"),
        text("subject"),
        text("organisation_id"),
        text("body"),
        int64("created_at_ms"),
        sa.UniqueConstraint("subject"),
        sqlite_strict=True,
    )
    op.create_table(
        "delivery",
        identifier(),
        ref("alert_id", "alert.id"),
        word("channel", "webhook", "mail"),
        text("target"),
        word("state", "waiting", "delivered", "given_up"),
        sa.Column("attempts", sa.Integer, nullable=False),
        int64("due_at_ms"),
        sa.Column("resolved_at_ms", Int64),
        sa.UniqueConstraint("alert_id", "channel", "target"),
        sqlite_strict=True,
    )
    op.create_index(
        "delivery_waiting",
        "delivery",
        ["due_at_ms"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "attempt",
        sa.Column("delivery_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("number", sa.Integer, primary_key=True, nullable=False, autoincrement=False),
        int64("at_ms"),
        text("outcome"),
        sqlite_strict=True,
    )

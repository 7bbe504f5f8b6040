"""What watches the books: signed ends of chains, audits, alerts and what became of them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from portico.db.tables.base import Int64, identifier, metadata, partial_index

# Append-only: where an organisation's chain of receipts ended at some moment, signed.
signed_head = Table(
    "signed_head",
    metadata,
    Column("organisation_id", Text, primary_key=True, nullable=False),
    Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
    Column("key_id", Text, primary_key=True, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signed_at_ms", Int64, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    sqlite_strict=True,
)

# Work that one of several servers does at a time: who has it, and when it is due again.
claim = Table(
    "claim",
    metadata,
    # The name of the work.
    identifier(),
    Column("owner", Text, nullable=False),
    Column("due_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# Append-only: what an audit found.
audit_run = Table(
    "audit_run",
    metadata,
    identifier(),
    Column("owner", Text, nullable=False),
    Column("started_at_ms", Int64, nullable=False),
    Column("duration_ms", Int64, nullable=False),
    Column("violations", Int64, CheckConstraint("violations >= 0"), nullable=False),
    # JSON: a list of billing.audit.Verdict.
    Column("verdicts", Text, nullable=False),
    sqlite_strict=True,
)

# Append-only: what somebody is to be told.
alert = Table(
    "alert",
    metadata,
    identifier(),
    Column("kind", Text, nullable=False),
    # What it is about, once: a second alert about the same is not written.
    Column("subject", Text, nullable=False),
    # "" for the operator's own.
    Column("organisation_id", Text, nullable=False),
    # JSON, as a webhook carries it.
    Column("body", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    UniqueConstraint("subject"),
    sqlite_strict=True,
)

# The outbox: an alert on its way to one address.
delivery = Table(
    "delivery",
    metadata,
    # The same with every attempt (`webhook-id`, `Message-ID`).
    identifier(),
    Column("alert_id", Text, ForeignKey("alert.id"), nullable=False),
    Column("channel", Text, CheckConstraint("channel IN ('webhook', 'mail')"), nullable=False),
    Column("target", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('waiting', 'delivered', 'given_up')"),
        nullable=False,
    ),
    Column("attempts", Integer, nullable=False),
    # Not before; while one server tries, until when the others leave it alone.
    Column("due_at_ms", Int64, nullable=False),
    Column("resolved_at_ms", Int64),
    UniqueConstraint("alert_id", "channel", "target"),
    Index("delivery_target", "channel", "target"),
    partial_index(
        "delivery_waiting",
        "due_at_ms",
        only="state = 'waiting'",
    ),
    sqlite_strict=True,
)

# Append-only: what came of each attempt.
attempt = Table(
    "attempt",
    metadata,
    Column("delivery_id", Text, primary_key=True, nullable=False),
    Column("number", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("at_ms", Int64, nullable=False),
    Column("outcome", Text, nullable=False),
    sqlite_strict=True,
)

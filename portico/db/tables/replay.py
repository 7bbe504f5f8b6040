"""Idempotency keys, and the answers given under them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from portico.db.tables.base import Int64, metadata

# One row per key of a project: written before its request runs, done in the commit that settles
# it, deleted when it expires.  No foreign keys, for the reasons of usage_record.
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("project_id", Text, primary_key=True, nullable=False),
    Column("key", Text, primary_key=True, nullable=False),
    # SHA-256 of method, path and decoded body.
    Column("fingerprint", LargeBinary, nullable=False),
    # Who has the key: whatever ends a claim names it, so that nobody ends another's.
    Column("request_id", Text, nullable=False),
    # The serving process that answers for it while it is open.
    Column("owner", Text, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('open', 'done')"), nullable=False),
    # The answer: 0 and empty while there is none, header lines, 1 for a stream.
    Column("status", Integer, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("stream", Integer, nullable=False),
    # None where there is none yet, or it was too large to be kept.
    Column("answer", LargeBinary),
    Column("created_at_ms", Int64, nullable=False),
    Column("expires_at_ms", Int64, nullable=False),
    UniqueConstraint("request_id"),
    Index("idempotency_key_by_expiry", "state", "expires_at_ms"),
    sqlite_strict=True,
)

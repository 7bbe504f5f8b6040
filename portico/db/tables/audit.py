"""Who changed what: a chain of hashes for each organisation, written with the change itself."""

from sqlalchemy import Column, LargeBinary, Table, Text

from portico.db.tables.base import Int64, metadata

# Append-only.  What was changed stands apart, so that it can be blacked out: the hash stays.
audit_event = Table(
    "audit_event",
    metadata,
    # "" for what belongs to the installation.
    Column("organisation_id", Text, primary_key=True, nullable=False),
    # From 1, without gaps.
    Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
    Column("at_ms", Int64, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    # The key it came with; "" for the command line.
    Column("credential_id", Text, nullable=False),
    # "" for the command line.
    Column("address", Text, nullable=False),
    # Such as `key.create`.
    Column("action", Text, nullable=False),
    # The id of what was changed.
    Column("target", Text, nullable=False),
    # SHA-256 of its details.
    Column("details_hash", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_strict=True,
)

# What the target was before, and is now.  NULL once blacked out.
audit_detail = Table(
    "audit_detail",
    metadata,
    Column("organisation_id", Text, primary_key=True, nullable=False),
    Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
    # JSON.
    Column("before", Text),
    Column("after", Text),
    Column("redacted_at_ms", Int64),
    sqlite_strict=True,
)

# Append-only: where a chain ended at some moment, signed.
audit_head = Table(
    "audit_head",
    metadata,
    Column("organisation_id", Text, primary_key=True, nullable=False),
    Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
    Column("key_id", Text, primary_key=True, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signed_at_ms", Int64, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    sqlite_strict=True,
)

"""Who may ask: organisations, their projects, their keys."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text

from portico.db.tables.base import Int64, data_use, identifier, metadata, partial_index


def _known_compatibility() -> CheckConstraint:
    return CheckConstraint("compatibility IN ('strict', 'warn', 'adapt')")


def _known_retention() -> CheckConstraint:
    return CheckConstraint("retention IN ('zero', 'metadata', 'days', 'contributor')")


def _known_kind() -> CheckConstraint:
    return CheckConstraint("kind IN ('standard', 'ephemeral')")


organisation = Table(
    "organisation",
    metadata,
    identifier(),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    # NULL: it may ask.  Its keys are refused from then on, its data and debts stay.
    Column("suspended_at_ms", Int64),
    Column("suspended_reason", Text),
    sqlite_strict=True,
)

project = Table(
    "project",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    data_use(),
    Column("compatibility", Text, _known_compatibility(), nullable=False, server_default="warn"),
    # JSON: the models its keys may name; NULL: all there are.
    Column("models", Text),
    # What is kept of requests: zero (nothing), metadata, days (contents, for retention_days),
    # contributor (contents, given away).
    Column("retention", Text, _known_retention(), nullable=False, server_default="metadata"),
    Column("retention_days", Int64, CheckConstraint("retention_days >= 1")),
    # NULL: it may ask.
    Column("archived_at_ms", Int64),
    Index("project_organisation", "organisation_id"),
    sqlite_strict=True,
)

api_key = Table(
    "api_key",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("project_id", Text, ForeignKey("project.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("mode", Text, CheckConstraint("mode IN ('live', 'test')"), nullable=False),
    # HMAC-SHA256 of the whole key; the key itself is shown once and kept nowhere.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper_id", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("last4", Text, nullable=False),
    Column("concurrency_max", Int64, CheckConstraint("concurrency_max >= 1"), nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("expires_at_ms", Int64),
    Column("revoked_at_ms", Int64),
    # NULL: that of its project.
    Column("compatibility", Text, _known_compatibility()),
    # An ephemeral key lives for minutes, where others can read it: in a browser.
    Column("kind", Text, _known_kind(), nullable=False, server_default="standard"),
    # What it may do, words with blanks between; NULL: whatever a key can.
    Column("scopes", Text),
    # JSON: the models it may name; NULL: all its project may.
    Column("models", Text),
    # Where it may come from: networks with blanks between; NULL: anywhere.
    Column("networks", Text),
    # Of an ephemeral key: the one it was made with, which pays for it.
    Column("parent_id", Text),
    # Whose it is, a user or a service account; NULL: the project's.  It goes with its owner.
    Column("owner_id", Text),
    # The key made to replace it: it works until expires_at_ms, and says so.
    Column("successor_id", Text),
    # To the minute, and late.
    Column("last_used_at_ms", Int64),
    partial_index("api_key_parent", "parent_id", only="parent_id IS NOT NULL"),
    partial_index("api_key_owner", "owner_id", only="owner_id IS NOT NULL"),
    partial_index("api_key_project", "project_id", only="parent_id IS NULL"),
    sqlite_strict=True,
)

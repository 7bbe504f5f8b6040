"""Who may ask: organisations, their projects, their keys."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text

from portico.db.tables.base import Int64, data_use, identifier, metadata


def _known_compatibility() -> CheckConstraint:
    return CheckConstraint("compatibility IN ('strict', 'warn', 'adapt')")


organisation = Table(
    "organisation",
    metadata,
    identifier(),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
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
    sqlite_strict=True,
)

# Ways to serve a model that the operator registered with `portico model add`.

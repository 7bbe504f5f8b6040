"""Where organisations want to be told what happens."""

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text

from portico.db.tables.base import Int64, identifier, metadata

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    # NULL: whatever happens in the organisation.
    Column("project_id", Text, ForeignKey("project.id")),
    Column("url", Text, nullable=False),
    # Words with blanks between; NULL: every kind.
    Column("kinds", Text),
    # Sealed with the pepper.  Two sign while one replaces the other.
    Column("secret", LargeBinary, nullable=False),
    Column("former_secret", LargeBinary),
    Column("former_until_ms", Int64),
    Column("created_at_ms", Int64, nullable=False),
    # NULL: it is told.
    Column("disabled_at_ms", Int64),
    Column("disabled_reason", Text),
    Index("webhook_endpoint_organisation", "organisation_id"),
    sqlite_strict=True,
)

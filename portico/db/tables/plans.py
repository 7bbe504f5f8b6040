"""Credit that comes anew by the calendar."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text

from portico.db.tables.base import Int64, identifier, metadata

# Credit an organisation is given in every day or month.
allowance = Table(
    "allowance",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("period", Text, CheckConstraint("period IN ('day', 'month')"), nullable=False),
    Column("nano", Int64, CheckConstraint("nano > 0"), nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    # None: no end.
    Column("ends_at_ms", Int64),
    sqlite_strict=True,
)

"""How much may be asked in a minute, and at once."""

from sqlalchemy import CheckConstraint, Column, Table, Text

from portico.db.tables.base import Int64, metadata


def _most(name: str) -> Column[int]:
    """NULL: no limit of this kind here."""
    return Column(name, Int64, CheckConstraint(f"{name} >= 0"))


rate_limit = Table(
    "rate_limit",
    metadata,
    Column(
        "scope",
        Text,
        CheckConstraint("scope IN ('key', 'project', 'organisation', 'installation')"),
        primary_key=True,
    ),
    # "" for the installation.
    Column("scope_id", Text, primary_key=True),
    # "" for all models together.
    Column("model", Text, primary_key=True),
    # Whose it is; "" for the installation's.
    Column("organisation_id", Text, nullable=False),
    _most("requests_per_minute"),
    # Of input tokens, those that are not read from a cache.
    _most("input_tokens_per_minute"),
    _most("output_tokens_per_minute"),
    _most("requests_at_once"),
    Column("set_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

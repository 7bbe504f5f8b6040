"""Engines that an operator registered."""

from sqlalchemy import Column, Table, Text

from portico.db.tables.base import Int64, identifier, metadata

deployment = Table(
    "deployment",
    metadata,
    identifier(),
    Column("model", Text, nullable=False),
    Column("engine", Text, nullable=False),
    # The base URL of an upstream, or the path of a model file.
    Column("location", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    # The name of the environment variable that holds the upstream's key; never the key.
    Column("credential_env", Text),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

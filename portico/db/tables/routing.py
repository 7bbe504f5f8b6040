"""Engines that an operator registered."""

from sqlalchemy import CheckConstraint, Column, Table, Text

from portico.db.tables.base import Int64, data_use, identifier, metadata

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
    # Deployments of a model are tried from the lowest up; where it is the same, the older one first.
    Column("position", Int64, nullable=False, server_default="0"),
    data_use(),
    # The upstream's key where it was given to be kept, readable only with the pepper file.
    Column("sealed_key", Text),
    sqlite_strict=True,
)

# `portico model drill`: one server is to cut off the first deployment of a model for a while.  It
# says when that began and which one it was, or why not.
drill = Table(
    "drill",
    metadata,
    identifier(),
    # Host name and process.
    Column("server", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("seconds", Int64, CheckConstraint("seconds BETWEEN 1 AND 60"), nullable=False),
    Column("asked_at_ms", Int64, nullable=False),
    Column("began_at_ms", Int64),
    Column("deployment", Text),
    Column("problem", Text),
    sqlite_strict=True,
)

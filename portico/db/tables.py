"""Every table, once.  The same definitions serve SQLite (STRICT) and PostgreSQL.

Ids are text, random and typed (`key_...`).  Times are milliseconds since the Unix epoch.
Booleans are 0 or 1, because STRICT tables know no other way.  A change here needs a migration;
the suite compares the two.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

Int64 = BigInteger().with_variant(Integer(), "sqlite")
"""STRICT tables refuse the word BIGINT; SQLite's INTEGER has 64 bits anyway."""


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True, nullable=False)


organisation = Table(
    "organisation",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

project = Table(
    "project",
    metadata,
    _id(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

api_key = Table(
    "api_key",
    metadata,
    _id(),
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
    sqlite_strict=True,
)

# Ways to serve a model that the operator registered with `portico model add`.
deployment = Table(
    "deployment",
    metadata,
    _id(),
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

# One row per admitted request, written when it starts and replaced once, when it ends.  No
# foreign keys: the record must be writable whatever became of the key, and checks cost time.
usage_record = Table(
    "usage_record",
    metadata,
    _id(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("finish_reason", Text, nullable=False),
    # The meters of canon.usage, disjoint, in their order.
    Column("input_text", Int64, nullable=False),
    Column("input_cache_read", Int64, nullable=False),
    Column("input_cache_write_5m", Int64, nullable=False),
    Column("input_cache_write_1h", Int64, nullable=False),
    Column("input_image", Int64, nullable=False),
    Column("input_audio", Int64, nullable=False),
    Column("output_text", Int64, nullable=False),
    Column("output_reasoning", Int64, nullable=False),
    Column("output_audio", Int64, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("started_at_ms", Int64, nullable=False),
    Column("queue_ms", Int64, nullable=False),
    Column("ttft_ms", Int64),
    Column("duration_ms", Int64, nullable=False),
    Index("usage_record_by_project", "project_id", "started_at_ms"),
    # Empty unless something runs, so it costs finished rows nothing.
    Index(
        "usage_record_running",
        "started_at_ms",
        sqlite_where=text("outcome = 'running'"),
        postgresql_where=text("outcome = 'running'"),
    ),
    sqlite_strict=True,
)

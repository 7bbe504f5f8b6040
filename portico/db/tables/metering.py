"""What was used."""

from sqlalchemy import Column, Index, Integer, Table, Text

from portico.db.tables.base import Int64, identifier, metadata, partial_index

# One row per admitted request, written when it starts and replaced once, when it ends.  No
# foreign keys: the record must be writable whatever became of the key, and checks cost time.
usage_record = Table(
    "usage_record",
    metadata,
    identifier(),
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
    partial_index(
        "usage_record_running",
        "started_at_ms",
        only="outcome = 'running'",
    ),
    sqlite_strict=True,
)

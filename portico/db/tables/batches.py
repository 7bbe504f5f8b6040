"""Work that is sent at once and answered within a day."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text

from portico.db.tables.base import Int64, identifier, metadata, partial_index

batch = Table(
    "batch",
    metadata,
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    # The key that was sent, by which its lines go on asking.
    Column("credential_id", Text, nullable=False),
    Column("kind", Text, CheckConstraint("kind IN ('openai', 'anthropic')"), nullable=False),
    # The path that every line is sent to.
    Column("endpoint", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint(
            "state IN ('validating', 'in_progress', 'finalizing', 'completed', 'failed', "
            "'expired', 'cancelling', 'cancelled')"
        ),
        nullable=False,
    ),
    # NULL: its lines came with it.
    Column("input_file_id", Text),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    # JSON.
    Column("metadata", Text, nullable=False),
    # JSON: why it failed before a line of it ran; NULL: it did not.
    Column("errors", Text),
    Column("lines", Int64, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    # Lines that have not begun by then do not.
    Column("due_at_ms", Int64, nullable=False),
    Column("started_at_ms", Int64),
    Column("finalizing_at_ms", Int64),
    Column("cancelling_at_ms", Int64),
    Column("ended_at_ms", Int64),
    # How long its files of answers are kept; NULL: as long as any.
    Column("output_keep_ms", Int64),
    # JSON: what its lines have used, once it has ended; the model that they all ran, if it is one.
    Column("usage", Text),
    Column("model", Text),
    # What is left of it goes then.
    Column("expires_at_ms", Int64),
    # The process that runs it now.
    Column("owner", Text),
    # NULL: who wants to hear of its end has not been told.
    Column("announced_at_ms", Int64),
    Index("batch_project", "project_id", "id"),
    partial_index("batch_open", "state", "id", only="ended_at_ms IS NULL"),
    partial_index("batch_expiry", "expires_at_ms", only="expires_at_ms IS NOT NULL"),
    partial_index(
        "batch_unannounced",
        "ended_at_ms",
        only="announced_at_ms IS NULL AND ended_at_ms IS NOT NULL",
    ),
    sqlite_strict=True,
)

# One row per line.  Its answer is written in the commit that settles its request, so that no line
# is answered twice, or paid twice.
batch_line = Table(
    "batch_line",
    metadata,
    Column(
        "batch_id",
        Text,
        ForeignKey("batch.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    # From 1, as in the file.
    Column("number", Int64, primary_key=True, nullable=False, autoincrement=False),
    Column("organisation_id", Text, nullable=False),
    Column("custom_id", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint(
            "state IN ('waiting', 'running', 'succeeded', 'errored', 'expired', 'cancelled')"
        ),
        nullable=False,
    ),
    # JSON: what it asks, until it has been answered.
    Column("request", LargeBinary),
    # The request that works on it, or has answered it.
    Column("request_id", Text),
    Column("attempts", Int64, nullable=False),
    # What it was answered: the HTTP status, and the body.
    Column("status", Int64),
    Column("answer", LargeBinary),
    Index("batch_line_state", "batch_id", "state", "number"),
    partial_index("batch_line_request", "request_id", only="request_id IS NOT NULL"),
    sqlite_strict=True,
)

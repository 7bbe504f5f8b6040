"""What developers keep with us: responses, conversations, files, batches."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, keep_apart, ref, text, word

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _responses()
    _conversations()
    _batches()
    _files()


def _responses() -> None:
    op.create_table(
        "response",
        identifier(),
        *(text(name) for name in ("organisation_id", "project_id", "key_id", "credential_id")),
        text("model"),
        word("state", "queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
        int64("background"),
        int64("stream"),
        *(sa.Column(name, sa.Text) for name in ("previous_id", "conversation_id")),
        sa.Column("request", sa.LargeBinary),
        sa.Column("input", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        int64("created_at_ms"),
        *(sa.Column(name, Int64) for name in ("ended_at_ms", "expires_at_ms")),
        *(sa.Column(name, sa.Text) for name in ("request_id", "owner")),
        int64("attempts"),
        sa.Column("announced_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index("response_project", "response", ["project_id", "id"])
    _partial("response_open", "response", "state", "id", only=_OPEN)
    _expiry("response")
    _partial("response_request", "response", "request_id", only="request_id IS NOT NULL")
    unannounced = "background = 1 AND announced_at_ms IS NULL AND ended_at_ms IS NOT NULL"
    _partial("response_unannounced", "response", "ended_at_ms", only=unannounced)
    op.create_table(
        "response_event",
        _parent("response_id", "response.id"),
        sa.Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
        text("organisation_id"),
        sa.Column("events", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    _walls("response", "response_event")


def _conversations() -> None:
    op.create_table(
        "conversation",
        identifier(),
        *(text(name) for name in ("organisation_id", "project_id", "metadata")),
        int64("created_at_ms"),
        sa.Column("expires_at_ms", Int64),
        sa.Column("locked_by", sa.Text),
        sa.Column("locked_until_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index("conversation_project", "conversation", ["project_id", "id"])
    _expiry("conversation")
    op.create_table(
        "conversation_item",
        _parent("conversation_id", "conversation.id"),
        sa.Column("position", Int64, primary_key=True, nullable=False, autoincrement=False),
        *(text(name) for name in ("organisation_id", "id")),
        sa.Column("item", sa.LargeBinary, nullable=False),
        int64("created_at_ms"),
        sa.UniqueConstraint("conversation_id", "id"),
        sqlite_strict=True,
    )
    _walls("conversation", "conversation_item")


def _batches() -> None:
    states = ("validating", "in_progress", "finalizing", "completed", "failed", "expired")
    op.create_table(
        "batch",
        identifier(),
        *(text(name) for name in ("organisation_id", "project_id", "key_id", "credential_id")),
        word("kind", "openai", "anthropic"),
        text("endpoint"),
        word("state", *states, "cancelling", "cancelled"),
        *(
            sa.Column(name, sa.Text)
            for name in ("input_file_id", "output_file_id", "error_file_id")
        ),
        text("metadata"),
        sa.Column("errors", sa.Text),
        *(int64(name) for name in ("lines", "created_at_ms", "due_at_ms")),
        *(
            sa.Column(f"{name}_ms", Int64)
            for name in ("started_at", "finalizing_at", "cancelling_at", "ended_at", "output_keep")
        ),
        sa.Column("expires_at_ms", Int64),
        sa.Column("owner", sa.Text),
        sa.Column("announced_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index("batch_project", "batch", ["project_id", "id"])
    _partial("batch_open", "batch", "state", "id", only="ended_at_ms IS NULL")
    _expiry("batch")
    unannounced = "announced_at_ms IS NULL AND ended_at_ms IS NOT NULL"
    _partial("batch_unannounced", "batch", "ended_at_ms", only=unannounced)
    op.create_table(
        "batch_line",
        _parent("batch_id", "batch.id"),
        sa.Column("number", Int64, primary_key=True, nullable=False, autoincrement=False),
        *(text(name) for name in ("organisation_id", "custom_id")),
        word("state", "waiting", "running", "succeeded", "errored", "expired", "cancelled"),
        sa.Column("request", sa.LargeBinary),
        sa.Column("request_id", sa.Text),
        int64("attempts"),
        sa.Column("status", Int64),
        sa.Column("answer", sa.LargeBinary),
        sqlite_strict=True,
    )
    op.create_index("batch_line_state", "batch_line", ["batch_id", "state", "number"])
    _partial("batch_line_request", "batch_line", "request_id", only="request_id IS NOT NULL")
    _walls("batch", "batch_line")


def _files() -> None:
    owned = ("organisation_id", "project_id")
    described = (*owned, "key_id", "purpose", "filename", "media_type")
    op.create_table(
        "file",
        identifier(),
        *(text(name) for name in described),
        int64("size_bytes", ">= 0"),
        int64("created_at_ms"),
        sa.Column("expires_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index("file_project", "file", ["project_id", "id"])
    op.create_index("file_purpose", "file", ["project_id", "purpose", "id"])
    _expiry("file")
    op.create_table(
        "file_room",
        sa.Column("project_id", sa.Text, primary_key=True, nullable=False),
        text("organisation_id"),
        *(int64(name, ">= 0") for name in ("files", "stored_bytes")),
        sqlite_strict=True,
    )
    op.create_table(
        "upload",
        identifier(),
        *(text(name) for name in described),
        *(int64(name) for name in ("size_bytes", "created_at_ms", "expires_at_ms")),
        sa.Column("keep_ms", Int64),
        word("state", "pending", "completed", "cancelled"),
        sa.Column("file_id", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("upload_project", "upload", ["project_id", "id"])
    op.create_index("upload_expiry", "upload", ["expires_at_ms"])
    op.create_table(
        "upload_part",
        identifier(),
        ref("upload_id", "upload.id"),
        *(text(name) for name in owned),
        int64("size_bytes", ">= 0"),
        int64("created_at_ms"),
        sqlite_strict=True,
    )
    op.create_index("upload_part_upload", "upload_part", ["upload_id"])
    _walls("file", "file_room", "upload", "upload_part")


_OPEN = "state IN ('queued', 'in_progress')"


def _parent(name: str, target: str) -> sa.Column[str]:
    """Its rows go with it."""
    key = sa.ForeignKey(target, ondelete="CASCADE")
    return sa.Column(name, sa.Text, key, primary_key=True, nullable=False)


def _expiry(table: str) -> None:
    _partial(f"{table}_expiry", table, "expires_at_ms", only="expires_at_ms IS NOT NULL")


def _partial(name: str, table: str, *columns: str, only: str) -> None:
    rows = sa.text(only)
    op.create_index(name, table, list(columns), sqlite_where=rows, postgresql_where=rows)


def _walls(*tables: str) -> None:
    for table in tables:
        keep_apart(table, "organisation_id = {organisation}")

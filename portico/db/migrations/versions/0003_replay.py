"""Answers kept to be given again: Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import int64, text, word

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("project_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("key", sa.Text, primary_key=True, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        text("request_id"),
        text("owner"),
        word("state", "open", "done"),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("stream", sa.Integer, nullable=False),
        sa.Column("answer", sa.LargeBinary),
        int64("created_at_ms"),
        int64("expires_at_ms"),
        sa.UniqueConstraint("request_id"),
        sqlite_strict=True,
    )
    op.create_index("idempotency_key_by_expiry", "idempotency_key", ["state", "expires_at_ms"])

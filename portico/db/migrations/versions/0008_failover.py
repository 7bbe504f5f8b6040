"""Which deployment is tried first, what may be made of prompts, and drills."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_USES = "'own', 'no_training', 'may_train'"


def upgrade() -> None:
    # As SQL: Alembic would add the checks afterwards, which SQLite cannot.
    integer = "INTEGER" if op.get_context().dialect.name == "sqlite" else "BIGINT"
    op.execute(f"ALTER TABLE deployment ADD COLUMN position {integer} NOT NULL DEFAULT 0")
    for table in ("deployment", "project"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN data_use TEXT NOT NULL DEFAULT 'no_training' "
            f"CHECK (data_use IN ({_USES}))"
        )
    op.create_table(
        "drill",
        identifier(),
        text("server"),
        text("model"),
        int64("seconds", "BETWEEN 1 AND 60"),
        int64("asked_at_ms"),
        sa.Column("began_at_ms", Int64),
        sa.Column("deployment", sa.Text),
        sa.Column("problem", sa.Text),
        sqlite_strict=True,
    )

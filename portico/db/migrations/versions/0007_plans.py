"""Allowances: credit that comes anew by the calendar."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, ref, word

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "allowance",
        identifier(),
        ref("organisation_id", "organisation.id"),
        word("period", "day", "month"),
        int64("nano", "> 0"),
        int64("created_at_ms"),
        sa.Column("ends_at_ms", Int64),
        sqlite_strict=True,
    )

"""What a batch has used, and whose turn it is in the background, found however many wait."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('queued', 'in_progress')")


def upgrade() -> None:
    for name in ("usage", "model"):
        op.add_column("batch", sa.Column(name, sa.Text))
    op.drop_index("response_open", "response")
    op.create_index(
        "response_open",
        "response",
        ["state", "project_id", "id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )

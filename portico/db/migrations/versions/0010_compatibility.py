"""How losses of translation are treated, by project and by key."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_WORDS = "'strict', 'warn', 'adapt'"


def upgrade() -> None:
    # As SQL: Alembic would add the checks afterwards, which SQLite cannot.
    op.execute(
        "ALTER TABLE project ADD COLUMN compatibility TEXT NOT NULL DEFAULT 'warn' "
        f"CHECK (compatibility IN ({_WORDS}))"
    )
    op.execute(
        f"ALTER TABLE api_key ADD COLUMN compatibility TEXT CHECK (compatibility IN ({_WORDS}))"
    )

"""Keys of providers, sealed."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE deployment ADD COLUMN sealed_key TEXT")

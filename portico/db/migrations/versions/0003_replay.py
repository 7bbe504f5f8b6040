"""Answers kept to be given again: Idempotency-Key."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled before the release."""

"""Thresholds that were crossed, breaches, deliveries."""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled before the release."""

"""Invoices, credit notes, tax, dunning."""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled before the release."""

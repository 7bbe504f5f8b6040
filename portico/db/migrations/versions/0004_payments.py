"""Orders of credit, what became of them, recharge, events of the payment provider."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Filled before the release."""

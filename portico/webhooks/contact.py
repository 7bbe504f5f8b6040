"""Where an organisation is written to by mail: at one address, which the operator has noted."""

from portico.db.transaction import Transaction


def contact_of(transaction: Transaction, organisation_id: str) -> str:
    """A mail address; "" where none was noted."""
    found = transaction.rows(
        "SELECT mail FROM billing_customer WHERE organisation_id = ?", (organisation_id,)
    )
    return str(found[0][0]) if found else ""

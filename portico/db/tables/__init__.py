"""Every table, once.  The same definitions serve SQLite (STRICT) and PostgreSQL.

Ids are text, random and typed (`key_...`).  Times are milliseconds since the Unix epoch.
Booleans are 0 or 1, because STRICT tables know no other way.  A change here needs a migration;
the suite compares the two.
"""

from portico.db.tables.alerts import alert, attempt, audit_run, claim, delivery, signed_head
from portico.db.tables.base import metadata
from portico.db.tables.invoices import (
    billing_customer,
    dunning,
    dunning_notice,
    invoice,
    invoice_payment,
    invoice_series,
    tax_rate,
)
from portico.db.tables.ledger import account, budget, chain, charge, entry, hold, instance, txn
from portico.db.tables.metering import usage_record
from portico.db.tables.payments import (
    dispute,
    payer,
    payment_event,
    payment_freeze,
    recharge,
    top_up,
    top_up_refund,
)
from portico.db.tables.plans import allowance
from portico.db.tables.pricing import price, terms
from portico.db.tables.replay import idempotency_key
from portico.db.tables.routing import deployment, drill
from portico.db.tables.tenants import api_key, organisation, project

__all__ = [
    "APPEND_ONLY",
    "account",
    "alert",
    "allowance",
    "api_key",
    "attempt",
    "audit_run",
    "billing_customer",
    "budget",
    "chain",
    "charge",
    "claim",
    "delivery",
    "deployment",
    "dispute",
    "drill",
    "dunning",
    "dunning_notice",
    "entry",
    "hold",
    "idempotency_key",
    "instance",
    "invoice",
    "invoice_payment",
    "invoice_series",
    "metadata",
    "organisation",
    "payer",
    "payment_event",
    "payment_freeze",
    "price",
    "project",
    "recharge",
    "signed_head",
    "tax_rate",
    "terms",
    "top_up",
    "top_up_refund",
    "txn",
    "usage_record",
]

APPEND_ONLY = (
    "price",
    "terms",
    "txn",
    "entry",
    "charge",
    "signed_head",
    "audit_run",
    "alert",
    "attempt",
    "tax_rate",
    "invoice",
    "invoice_payment",
)
"""Tables whose rows the database refuses to change or delete."""

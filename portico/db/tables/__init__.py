"""Every table, once.  The same definitions serve SQLite (STRICT) and PostgreSQL.

Ids are text, random and typed (`key_...`).  Times are milliseconds since the Unix epoch.
Booleans are 0 or 1, because STRICT tables know no other way.  A change here needs a migration;
the suite compares the two.
"""

from portico.db.tables.alerts import alert, attempt, audit_run, claim, delivery, signed_head
from portico.db.tables.audit import audit_detail, audit_event, audit_head
from portico.db.tables.base import metadata
from portico.db.tables.batches import batch, batch_line
from portico.db.tables.files import file, file_room, upload, upload_part
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
from portico.db.tables.limits import rate_limit
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
from portico.db.tables.people import (
    admin_key,
    invitation,
    member,
    project_member,
    role,
    subject,
)
from portico.db.tables.plans import allowance
from portico.db.tables.pricing import price, terms
from portico.db.tables.replay import idempotency_key
from portico.db.tables.responses import (
    conversation,
    conversation_item,
    response,
    response_event,
)
from portico.db.tables.routing import deployment, drill
from portico.db.tables.tenants import api_key, organisation, project
from portico.db.tables.webhooks import webhook_endpoint

__all__ = [
    "APPEND_ONLY",
    "account",
    "admin_key",
    "alert",
    "allowance",
    "api_key",
    "attempt",
    "audit_detail",
    "audit_event",
    "audit_head",
    "audit_run",
    "batch",
    "batch_line",
    "billing_customer",
    "budget",
    "chain",
    "charge",
    "claim",
    "conversation",
    "conversation_item",
    "delivery",
    "deployment",
    "dispute",
    "drill",
    "dunning",
    "dunning_notice",
    "entry",
    "file",
    "file_room",
    "hold",
    "idempotency_key",
    "instance",
    "invitation",
    "invoice",
    "invoice_payment",
    "invoice_series",
    "member",
    "metadata",
    "organisation",
    "payer",
    "payment_event",
    "payment_freeze",
    "price",
    "project",
    "project_member",
    "rate_limit",
    "recharge",
    "response",
    "response_event",
    "role",
    "signed_head",
    "subject",
    "tax_rate",
    "terms",
    "top_up",
    "top_up_refund",
    "txn",
    "upload",
    "upload_part",
    "usage_record",
    "webhook_endpoint",
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
    "audit_event",
    "audit_head",
)
"""Tables whose rows the database refuses to change or delete."""

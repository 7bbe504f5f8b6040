"""The books: accounts, holds, transactions, charges, budgets, serving processes."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from portico.db.tables.base import Int64, identifier, metadata, partial_index

FUNDING = "kind IN ('prepaid', 'promo', 'receivable') AND (posted_nano > 0 OR kind = 'receivable')"
BESIDE_CHARGES = "substr(txn_id, 1, 7) <> 'settle:'"

account = Table(
    "account",
    metadata,
    identifier(),
    # prepaid, promo, receivable, limit, revenue, cash_clearing, ...: ledger.model.Kind.
    Column("kind", Text, nullable=False),
    # Whose it is; "" for the operator's own accounts.
    Column("organisation_id", Text, nullable=False),
    Column("posted_nano", Int64, nullable=False),
    Column("held_nano", Int64, CheckConstraint("held_nano >= 0"), nullable=False),
    # None: may go anywhere.
    Column("floor_nano", Int64),
    # Funding accounts are used up in this order, then by expiry, then by age.
    Column("priority", Integer, nullable=False),
    Column("expires_at_ms", Int64),
    Column("created_at_ms", Int64, nullable=False),
    CheckConstraint("floor_nano IS NULL OR posted_nano - held_nano >= floor_nano"),
    Index("account_by_organisation", "organisation_id"),
    # Those that may pay, among very many that no longer do.
    partial_index(
        "account_funding",
        "organisation_id",
        only=FUNDING,
    ),
    sqlite_strict=True,
)

hold = Table(
    "hold",
    metadata,
    # The request's id.
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('open', 'settled', 'void', 'expired')"),
        nullable=False,
    ),
    Column("amount_nano", Int64, CheckConstraint("amount_nano > 0"), nullable=False),
    # What is held where: JSON, a list of [account id, nano].
    Column("parts", Text, nullable=False),
    # What the request will be rated by: pricing.model.Quote as JSON.
    Column("quote", Text, nullable=False),
    # The serving process that answers for it.
    Column("owner", Text, nullable=False),
    Column("opened_at_ms", Int64, nullable=False),
    Column("ttl_ms", Int64, CheckConstraint("ttl_ms > 0"), nullable=False),
    Column("resolved_at_ms", Int64),
    partial_index(
        "hold_open",
        "opened_at_ms",
        only="state = 'open'",
    ),
    sqlite_strict=True,
)

# Append-only: triggers refuse UPDATE and DELETE.
txn = Table(
    "txn",
    metadata,
    # The idempotency key of what it records, such as "settle:req_...".
    identifier(),
    Column("kind", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Append-only.
entry = Table(
    "entry",
    metadata,
    Column("txn_id", Text, ForeignKey("txn.id"), primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True, nullable=False),
    Column("amount_nano", Int64, CheckConstraint("amount_nano <> 0"), nullable=False),
    # Charges are left out: there are a thousand of them for everything else, and an account's own
    # are never asked for.  Whoever asks has to say so too.
    partial_index(
        "entry_beside_charges",
        "account_id",
        only=BESIDE_CHARGES,
    ),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Append-only: what a request cost, and a link of its organisation's chain of receipts.
charge = Table(
    "charge",
    metadata,
    # The request's id.
    identifier(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    # 1, 2, 3 within the organisation.
    Column("sequence", Int64, nullable=False),
    Column("model", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    # One object a meter: pricing.model.Line as JSON, price ids and copied numbers included.
    Column("lines", Text, nullable=False),
    Column("terms_id", Text, nullable=False),
    Column("list_nano", Int64, CheckConstraint("list_nano >= 0"), nullable=False),
    Column("net_nano", Int64, CheckConstraint("net_nano >= 0"), nullable=False),
    # What the request cost above its hold; the operator's loss, never the customer's.
    Column("absorbed_nano", Int64, CheckConstraint("absorbed_nano >= 0"), nullable=False),
    Column("charged_at_ms", Int64, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # Also the order in time: a chain only grows at its end.
    UniqueConstraint("organisation_id", "sequence"),
    sqlite_strict=True,
)

# The end of each organisation's chain of receipts.  Locked while the next links are made.
chain = Table(
    "chain",
    metadata,
    Column("organisation_id", Text, primary_key=True, nullable=False),
    Column("sequence", Int64, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_strict=True,
)

# A cap on what a key, project or organisation may spend in a day or month (UTC).  Each window
# has an account of kind `limit`.
budget = Table(
    "budget",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column(
        "scope",
        Text,
        CheckConstraint("scope IN ('organisation', 'project', 'key')"),
        nullable=False,
    ),
    Column("scope_id", Text, nullable=False),
    Column("period", Text, CheckConstraint("period IN ('day', 'month')"), nullable=False),
    Column("cap_nano", Int64, CheckConstraint("cap_nano >= 0"), nullable=False),
    # JSON, a list of percentages of the cap at which to tell somebody.
    Column("alert_percents", Text, nullable=False),
    Column("webhook_url", Text, nullable=False),
    Column("mail", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    UniqueConstraint("scope", "scope_id", "period"),
    sqlite_strict=True,
)

# Serving processes: who answers for open holds.
instance = Table(
    "instance",
    metadata,
    identifier(),
    Column("started_at_ms", Int64, nullable=False),
    Column("beat_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

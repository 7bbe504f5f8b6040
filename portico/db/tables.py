"""Every table, once.  The same definitions serve SQLite (STRICT) and PostgreSQL.

Ids are text, random and typed (`key_...`).  Times are milliseconds since the Unix epoch.
Booleans are 0 or 1, because STRICT tables know no other way.  A change here needs a migration;
the suite compares the two.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

Int64 = BigInteger().with_variant(Integer(), "sqlite")
"""STRICT tables refuse the word BIGINT; SQLite's INTEGER has 64 bits anyway."""


def _id() -> Column[str]:
    return Column("id", Text, primary_key=True, nullable=False)


organisation = Table(
    "organisation",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

project = Table(
    "project",
    metadata,
    _id(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

api_key = Table(
    "api_key",
    metadata,
    _id(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("project_id", Text, ForeignKey("project.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("mode", Text, CheckConstraint("mode IN ('live', 'test')"), nullable=False),
    # HMAC-SHA256 of the whole key; the key itself is shown once and kept nowhere.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper_id", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("last4", Text, nullable=False),
    Column("concurrency_max", Int64, CheckConstraint("concurrency_max >= 1"), nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("expires_at_ms", Int64),
    Column("revoked_at_ms", Int64),
    sqlite_strict=True,
)

# Ways to serve a model that the operator registered with `portico model add`.
deployment = Table(
    "deployment",
    metadata,
    _id(),
    Column("model", Text, nullable=False),
    Column("engine", Text, nullable=False),
    # The base URL of an upstream, or the path of a model file.
    Column("location", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    # The name of the environment variable that holds the upstream's key; never the key.
    Column("credential_env", Text),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# One row per admitted request, written when it starts and replaced once, when it ends.  No
# foreign keys: the record must be writable whatever became of the key, and checks cost time.
usage_record = Table(
    "usage_record",
    metadata,
    _id(),
    Column("organisation_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("finish_reason", Text, nullable=False),
    # The meters of canon.usage, disjoint, in their order.
    Column("input_text", Int64, nullable=False),
    Column("input_cache_read", Int64, nullable=False),
    Column("input_cache_write_5m", Int64, nullable=False),
    Column("input_cache_write_1h", Int64, nullable=False),
    Column("input_image", Int64, nullable=False),
    Column("input_audio", Int64, nullable=False),
    Column("output_text", Int64, nullable=False),
    Column("output_reasoning", Int64, nullable=False),
    Column("output_audio", Int64, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("started_at_ms", Int64, nullable=False),
    Column("queue_ms", Int64, nullable=False),
    Column("ttft_ms", Int64),
    Column("duration_ms", Int64, nullable=False),
    Index("usage_record_by_project", "project_id", "started_at_ms"),
    # Empty unless something runs, so it costs finished rows nothing.
    Index(
        "usage_record_running",
        "started_at_ms",
        sqlite_where=text("outcome = 'running'"),
        postgresql_where=text("outcome = 'running'"),
    ),
    sqlite_strict=True,
)

# Prices and terms.  Rows are never changed: a new one counts from its day on (triggers see to it).

price = Table(
    "price",
    metadata,
    _id(),
    Column("model", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("tier", Text, nullable=False),
    # "" for every plan; else only for organisations whose terms name it.
    Column("plan", Text, nullable=False),
    # Counts where the whole input has more tokens than this (long-context prices).
    Column("above_input_tokens", Int64, nullable=False),
    Column("nano_per_million", Int64, CheckConstraint("nano_per_million >= 0"), nullable=False),
    Column("effective_from_ms", Int64, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    UniqueConstraint("model", "meter", "tier", "plan", "above_input_tokens", "effective_from_ms"),
    sqlite_strict=True,
)

terms = Table(
    "terms",
    metadata,
    _id(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('internal', 'free', 'prepaid', 'postpaid', 'commit')"),
        nullable=False,
    ),
    Column("plan", Text, nullable=False),
    # What is left of the list price, as one rational of all discounts: numerator / denominator.
    Column("share_numerator", Int64, CheckConstraint("share_numerator >= 0"), nullable=False),
    Column("share_denominator", Int64, CheckConstraint("share_denominator > 0"), nullable=False),
    # What the discounts are, for people and receipts: JSON, a list of {kind, numerator, denominator}.
    Column("discounts", Text, nullable=False),
    # Version of the data-sharing consent, "" where there is none.
    Column("consent", Text, nullable=False),
    Column("effective_from_ms", Int64, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    UniqueConstraint("organisation_id", "effective_from_ms"),
    sqlite_strict=True,
)

# The ledger.

account = Table(
    "account",
    metadata,
    _id(),
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
    sqlite_strict=True,
)

hold = Table(
    "hold",
    metadata,
    # The request's id.
    _id(),
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
    Index(
        "hold_open",
        "opened_at_ms",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    sqlite_strict=True,
)

# Append-only: triggers refuse UPDATE and DELETE.
txn = Table(
    "txn",
    metadata,
    # The idempotency key of what it records, such as "settle:req_...".
    _id(),
    Column("kind", Text, nullable=False),
    Column("organisation_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# Append-only.
entry = Table(
    "entry",
    metadata,
    Column("txn_id", Text, ForeignKey("txn.id"), primary_key=True, nullable=False),
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True, nullable=False),
    Column("amount_nano", Int64, CheckConstraint("amount_nano <> 0"), nullable=False),
    Index("entry_by_account", "account_id"),
    sqlite_strict=True,
)

# Append-only: what a request cost, and a link of its organisation's chain of receipts.
charge = Table(
    "charge",
    metadata,
    # The request's id.
    _id(),
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
    UniqueConstraint("organisation_id", "sequence"),
    Index("charge_by_time", "organisation_id", "charged_at_ms"),
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
    _id(),
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
    _id(),
    Column("started_at_ms", Int64, nullable=False),
    Column("beat_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

APPEND_ONLY = ("price", "terms", "txn", "entry", "charge")
"""Tables whose rows the database refuses to change or delete."""

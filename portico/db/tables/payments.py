"""Money that came in and went back: top-ups, refunds, disputes, recharge, the provider's events."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from portico.db.tables.base import Int64, identifier, metadata, partial_index

# How an organisation pays: its customer at the payment provider, and the card kept there.
payer = Table(
    "payer",
    metadata,
    Column(
        "organisation_id",
        Text,
        ForeignKey("organisation.id"),
        primary_key=True,
        nullable=False,
    ),
    Column("customer_id", Text, nullable=False, unique=True),
    # "" until a payment method is kept.
    Column("payment_method_id", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

top_up = Table(
    "top_up",
    metadata,
    # Also the idempotency key at the provider.
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    # Who asked: a person, or the recharge of an organisation.
    Column(
        "origin",
        Text,
        CheckConstraint("origin IN ('manual', 'recharge')"),
        nullable=False,
    ),
    # open: asked for, perhaps charged, not credited.  failed: nothing was charged.
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('open', 'paid', 'failed')"),
        nullable=False,
    ),
    Column("amount_minor", Int64, CheckConstraint("amount_minor > 0"), nullable=False),
    Column("amount_nano", Int64, nullable=False),
    Column("currency", Text, CheckConstraint("currency IN ('usd')"), nullable=False),
    # What the payer pays with: the provider's word, such as card.
    Column("method", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("payment_method_id", Text, nullable=False),
    # The provider's id of the payment, "" until it is known.
    Column("intent_id", Text, nullable=False),
    # Why it failed, or what it waits for.
    Column("says", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("checked_at_ms", Int64, nullable=False),
    Column("closed_at_ms", Int64),
    CheckConstraint("amount_nano = amount_minor * 10000000"),
    CheckConstraint("state <> 'paid' OR intent_id <> ''"),
    partial_index(
        "top_up_by_intent",
        "intent_id",
        unique=True,
        only="intent_id <> ''",
    ),
    # One at a time: two recharges under way would charge twice for one threshold.
    partial_index(
        "top_up_one_recharge",
        "organisation_id",
        unique=True,
        only="origin = 'recharge' AND state = 'open'",
    ),
    partial_index(
        "top_up_open",
        "checked_at_ms",
        only="state = 'open'",
    ),
    Index("top_up_by_organisation", "organisation_id", "created_at_ms"),
    sqlite_strict=True,
)

top_up_refund = Table(
    "top_up_refund",
    metadata,
    # Also the idempotency key at the provider.
    identifier(),
    Column("top_up_id", Text, ForeignKey("top_up.id"), nullable=False),
    Column("amount_minor", Int64, CheckConstraint("amount_minor > 0"), nullable=False),
    Column("amount_nano", Int64, nullable=False),
    # open: taken from the credit, not known to be paid out.
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('open', 'paid', 'failed')"),
        nullable=False,
    ),
    # The provider's id of it, "" until it is known.
    Column("provider_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    Column("closed_at_ms", Int64),
    CheckConstraint("amount_nano = amount_minor * 10000000"),
    Index("top_up_refund_by_top_up", "top_up_id"),
    partial_index(
        "top_up_refund_open",
        "created_at_ms",
        only="state = 'open'",
    ),
    sqlite_strict=True,
)

# A payer's bank took a payment back.  While one is open, the credit it bought is frozen.
dispute = Table(
    "dispute",
    metadata,
    # The provider's id of it.
    identifier(),
    Column("top_up_id", Text, ForeignKey("top_up.id"), nullable=False),
    Column("amount_minor", Int64, CheckConstraint("amount_minor > 0"), nullable=False),
    Column("amount_nano", Int64, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('open', 'won', 'lost')"), nullable=False),
    Column("opened_at_ms", Int64, nullable=False),
    Column("closed_at_ms", Int64),
    CheckConstraint("amount_nano = amount_minor * 10000000"),
    Index("dispute_by_top_up", "top_up_id"),
    sqlite_strict=True,
)

# Top-ups that happen by themselves.  There is none without a monthly cap.
recharge = Table(
    "recharge",
    metadata,
    Column(
        "organisation_id",
        Text,
        ForeignKey("organisation.id"),
        primary_key=True,
        nullable=False,
    ),
    Column("enabled", Integer, CheckConstraint("enabled IN (0, 1)"), nullable=False),
    Column("threshold_nano", Int64, CheckConstraint("threshold_nano >= 0"), nullable=False),
    Column("target_nano", Int64, nullable=False),
    # The most that is charged in a calendar month (UTC).
    Column("cap_minor", Int64, CheckConstraint("cap_minor > 0"), nullable=False),
    # In a row.
    Column("declines", Integer, CheckConstraint("declines >= 0"), nullable=False),
    # Nothing is tried before; 0: no decline to wait for.
    Column("rests_until_ms", Int64, nullable=False),
    # Why it is off, "" where somebody switched it.
    Column("says", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("changed_at_ms", Int64, nullable=False),
    CheckConstraint("target_nano > threshold_nano"),
    sqlite_strict=True,
)

# What must not go on until somebody has looked: a row stops it.
payment_freeze = Table(
    "payment_freeze",
    metadata,
    Column("id", Text, CheckConstraint("id IN ('recharge')"), primary_key=True, nullable=False),
    Column("reason", Text, nullable=False),
    Column("frozen_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# What the provider said, once each, and what came of it.
payment_event = Table(
    "payment_event",
    metadata,
    # The provider's id of it.
    identifier(),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("received_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

"""What models cost, and how organisations pay."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, UniqueConstraint

from portico.db.tables.base import Int64, identifier, metadata

# Prices and terms.  Rows are never changed: a new one counts from its day on (triggers see to it).

price = Table(
    "price",
    metadata,
    identifier(),
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
    identifier(),
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

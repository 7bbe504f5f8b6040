"""What is asked for: customers, tax rates, invoices and credit notes, payments, dunning."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from portico.db.tables.base import Int64, identifier, metadata

# To whom an organisation's invoices are made out.  An invoice copies it; what changes here later
# changes no invoice.
billing_customer = Table(
    "billing_customer",
    metadata,
    Column(
        "organisation_id", Text, ForeignKey("organisation.id"), primary_key=True, nullable=False
    ),
    Column("name", Text, nullable=False),
    # Lines, separated by "\n".
    Column("address", Text, nullable=False),
    # Two letters of ISO 3166; "" where nobody said.
    Column("country", Text, nullable=False),
    Column("vat_id", Text, nullable=False),
    # Which of a country's rates counts: a word of tax_rate.kind.
    Column("tax_kind", Text, nullable=False),
    # Where notices go.
    Column("mail", Text, nullable=False),
    Column("updated_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# Append-only: a rate that changes is a new row.
tax_rate = Table(
    "tax_rate",
    metadata,
    identifier(),
    Column("country", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # Hundredths of a percent.
    Column(
        "basis_points",
        Integer,
        CheckConstraint("basis_points BETWEEN 0 AND 10000"),
        nullable=False,
    ),
    Column("valid_from_ms", Int64, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at_ms", Int64, nullable=False),
    UniqueConstraint("country", "kind", "valid_from_ms"),
    sqlite_strict=True,
)

# The last number given out of each series.  Locked while the next one is given.
invoice_series = Table(
    "invoice_series",
    metadata,
    Column("entity", Text, primary_key=True, nullable=False),
    Column("kind", Text, primary_key=True, nullable=False),
    Column("year", Integer, primary_key=True, nullable=False),
    Column("last", Int64, CheckConstraint("last >= 0"), nullable=False),
    Column("issued_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# Append-only: invoices and credit notes, from the moment they are final.
invoice = Table(
    "invoice",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("kind", Text, CheckConstraint("kind IN ('invoice', 'credit_note')"), nullable=False),
    # The legal entity, the year (UTC) and the place within both.
    Column("entity", Text, nullable=False),
    Column("year", Integer, nullable=False),
    Column("sequence", Int64, CheckConstraint("sequence >= 1"), nullable=False),
    Column("number", Text, nullable=False),
    # Of a credit note: the invoice that it corrects.
    Column("corrects_id", Text, ForeignKey("invoice.id")),
    # Of an invoice: the receipts on it, by their place in the organisation's chain.
    Column("first_sequence", Int64),
    Column("last_sequence", Int64),
    Column("period_start_ms", Int64),
    Column("period_end_ms", Int64),
    Column("issued_at_ms", Int64, nullable=False),
    Column("due_at_ms", Int64, nullable=False),
    # What it adds to what is owed for use, to the nano; negative on a credit note.
    Column("owed_nano", Int64, nullable=False),
    # What it adds to what is to be paid: for use, and as tax.
    Column("due_cents", Int64, nullable=False),
    Column("tax_cents", Int64, nullable=False),
    # Canonical JSON, and its SHA-256 in hexadecimal digits.
    Column("document", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    CheckConstraint("(kind = 'invoice') = (corrects_id IS NULL)"),
    CheckConstraint("(kind = 'invoice') = (first_sequence IS NOT NULL)"),
    CheckConstraint("first_sequence <= last_sequence"),
    CheckConstraint("period_start_ms < period_end_ms"),
    # An invoice asks for something, a credit note gives something back.
    CheckConstraint("kind = 'invoice' OR (owed_nano <= 0 AND due_cents <= 0 AND tax_cents <= 0)"),
    CheckConstraint("kind <> 'invoice' OR (owed_nano >= 0 AND due_cents >= 0 AND tax_cents >= 0)"),
    UniqueConstraint("entity", "kind", "year", "sequence"),
    UniqueConstraint("entity", "number"),
    # A receipt is on one invoice, and a moment in one period.
    UniqueConstraint("organisation_id", "first_sequence"),
    UniqueConstraint("organisation_id", "period_start_ms"),
    Index("invoice_by_corrected", "corrects_id"),
    sqlite_strict=True,
)

# Append-only: what came in for an invoice; the money itself is in the ledger.
invoice_payment = Table(
    "invoice_payment",
    metadata,
    # The payer's or the bank's own reference: paying it again does nothing.
    identifier(),
    Column("invoice_id", Text, ForeignKey("invoice.id"), nullable=False),
    Column("due_cents", Int64, CheckConstraint("due_cents >= 0"), nullable=False),
    Column("tax_cents", Int64, CheckConstraint("tax_cents >= 0"), nullable=False),
    Column("paid_at_ms", Int64, nullable=False),
    CheckConstraint("due_cents + tax_cents > 0"),
    Index("invoice_payment_by_invoice", "invoice_id"),
    sqlite_strict=True,
)

# How far an organisation is in dunning, once it has been in it.
dunning = Table(
    "dunning",
    metadata,
    Column(
        "organisation_id", Text, ForeignKey("organisation.id"), primary_key=True, nullable=False
    ),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('good', 'read_only', 'suspended')"),
        nullable=False,
    ),
    # JSON: by account, the floor that it gets back and the floor that closed it.
    Column("closed", Text, nullable=False),
    Column("changed_at_ms", Int64, nullable=False),
    sqlite_strict=True,
)

# What an organisation is to be told about an invoice; whoever sends it sets sent_at_ms.
dunning_notice = Table(
    "dunning_notice",
    metadata,
    identifier(),
    Column("organisation_id", Text, ForeignKey("organisation.id"), nullable=False),
    Column("invoice_id", Text, ForeignKey("invoice.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("due_at_ms", Int64, nullable=False),
    Column("sent_at_ms", Int64),
    UniqueConstraint("invoice_id", "kind"),
    sqlite_strict=True,
)

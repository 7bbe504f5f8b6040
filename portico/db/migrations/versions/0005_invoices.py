"""Invoices, credit notes, tax, dunning."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import Int64, identifier, int64, ref, refuse_changes, text, word

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

APPEND_ONLY = ("tax_rate", "invoice", "invoice_payment")


def upgrade() -> None:
    _customers()
    _invoices()
    _dunning()
    for table in APPEND_ONLY:
        refuse_changes(table)


def _key(name: str, kind: type[sa.Text] | type[sa.Integer] = sa.Text) -> sa.Column[object]:
    return sa.Column(name, kind, primary_key=True, nullable=False)


def _small(name: str, check: str = "") -> sa.Column[int]:
    checks = [sa.CheckConstraint(f"{name} {check}")] if check else []
    return sa.Column(name, sa.Integer, *checks, nullable=False)


def _customers() -> None:
    op.create_table(
        "billing_customer",
        ref("organisation_id", "organisation.id", key=True),
        text("name"),
        text("address"),
        text("country"),
        text("vat_id"),
        text("tax_kind"),
        text("mail"),
        int64("updated_at_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "tax_rate",
        identifier(),
        text("country"),
        text("kind"),
        _small("basis_points", "BETWEEN 0 AND 10000"),
        int64("valid_from_ms"),
        text("author"),
        int64("created_at_ms"),
        sa.UniqueConstraint("country", "kind", "valid_from_ms"),
        sqlite_strict=True,
    )


def _invoices() -> None:
    op.create_table(
        "invoice_series",
        _key("entity"),
        _key("kind"),
        _key("year", sa.Integer),
        int64("last", ">= 0"),
        int64("issued_at_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "invoice",
        identifier(),
        ref("organisation_id", "organisation.id"),
        word("kind", "invoice", "credit_note"),
        text("entity"),
        _small("year"),
        int64("sequence", ">= 1"),
        text("number"),
        sa.Column("corrects_id", sa.Text, sa.ForeignKey("invoice.id")),
        sa.Column("first_sequence", Int64),
        sa.Column("last_sequence", Int64),
        sa.Column("period_start_ms", Int64),
        sa.Column("period_end_ms", Int64),
        int64("issued_at_ms"),
        int64("due_at_ms"),
        int64("owed_nano"),
        int64("due_cents"),
        int64("tax_cents"),
        text("document"),
        text("sha256"),
        sa.CheckConstraint("(kind = 'invoice') = (corrects_id IS NULL)"),
        sa.CheckConstraint("(kind = 'invoice') = (first_sequence IS NOT NULL)"),
        sa.CheckConstraint("first_sequence <= last_sequence"),
        sa.CheckConstraint("period_start_ms < period_end_ms"),
        sa.CheckConstraint(
            "kind = 'invoice' OR (owed_nano <= 0 AND due_cents <= 0 AND tax_cents <= 0)"
        ),
        sa.CheckConstraint(
            "kind <> 'invoice' OR (owed_nano >= 0 AND due_cents >= 0 AND tax_cents >= 0)"
        ),
        sa.UniqueConstraint("entity", "kind", "year", "sequence"),
        sa.UniqueConstraint("entity", "number"),
        sa.UniqueConstraint("organisation_id", "first_sequence"),
        sa.UniqueConstraint("organisation_id", "period_start_ms"),
        sqlite_strict=True,
    )
    op.create_index("invoice_by_corrected", "invoice", ["corrects_id"])
    op.create_table(
        "invoice_payment",
        identifier(),
        ref("invoice_id", "invoice.id"),
        int64("due_cents", ">= 0"),
        int64("tax_cents", ">= 0"),
        int64("paid_at_ms"),
        sa.CheckConstraint("due_cents + tax_cents > 0"),
        sqlite_strict=True,
    )
    op.create_index("invoice_payment_by_invoice", "invoice_payment", ["invoice_id"])


def _dunning() -> None:
    op.create_table(
        "dunning",
        ref("organisation_id", "organisation.id", key=True),
        word("state", "good", "read_only", "suspended"),
        text("closed"),
        int64("changed_at_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "dunning_notice",
        identifier(),
        ref("organisation_id", "organisation.id"),
        ref("invoice_id", "invoice.id"),
        text("kind"),
        text("recipient"),
        int64("due_at_ms"),
        sa.Column("sent_at_ms", Int64),
        sa.UniqueConstraint("invoice_id", "kind"),
        sqlite_strict=True,
    )

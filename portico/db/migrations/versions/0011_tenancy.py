"""People, roles, admin keys, what keys and projects may, limits, webhooks, and who changed what."""

import sqlalchemy as sa
from alembic import op

from portico.db.migrations.columns import (
    Int64,
    identifier,
    int64,
    keep_apart,
    ref,
    refuse_changes,
    text,
    word,
)

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_OF_ORGANISATIONS = (
    *("account", "admin_key", "alert", "allowance", "api_key", "audit_detail", "audit_event"),
    *("audit_head", "billing_customer", "budget", "chain", "charge", "dunning", "dunning_notice"),
    *(
        "hold",
        "invitation",
        "invoice",
        "member",
        "payer",
        "project",
        "project_member",
        "rate_limit",
    ),
    *("recharge", "role", "signed_head", "terms", "top_up", "txn", "usage_record"),
    "webhook_endpoint",
)
_OF_PARENTS = {
    "entry": ("txn_id", "txn"),
    "delivery": ("alert_id", "alert"),
    "attempt": ("delivery_id", "delivery"),
    "invoice_payment": ("invoice_id", "invoice"),
    "top_up_refund": ("top_up_id", "top_up"),
    "dispute": ("top_up_id", "top_up"),
    "idempotency_key": ("project_id", "project"),
}
"""Whoever sees the row that this column names sees this one."""
_RETENTION = "'zero', 'metadata', 'days', 'contributor'"


def upgrade() -> None:
    _tenants()
    _people()
    _admin_keys()
    _audit()
    _limits()
    _webhooks()
    _walls()


def _tenants() -> None:
    # As SQL: Alembic would add the checks afterwards, which SQLite cannot.
    int64_word = "INTEGER" if op.get_context().dialect.name == "sqlite" else "BIGINT"
    for table, column in (
        ("organisation", f"suspended_at_ms {int64_word}"),
        ("organisation", "suspended_reason TEXT"),
        ("project", "models TEXT"),
        (
            "project",
            f"retention TEXT NOT NULL DEFAULT 'metadata' CHECK (retention IN ({_RETENTION}))",
        ),
        ("project", f"retention_days {int64_word} CHECK (retention_days >= 1)"),
        ("project", f"archived_at_ms {int64_word}"),
        (
            "api_key",
            "kind TEXT NOT NULL DEFAULT 'standard' CHECK (kind IN ('standard', 'ephemeral'))",
        ),
        ("api_key", "scopes TEXT"),
        ("api_key", "models TEXT"),
        ("api_key", "networks TEXT"),
        ("api_key", "parent_id TEXT"),
        ("api_key", "owner_id TEXT"),
        ("api_key", "successor_id TEXT"),
        ("api_key", f"last_used_at_ms {int64_word}"),
    ):
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    for name in ("parent", "owner"):
        _partial(f"api_key_{name}", "api_key", f"{name}_id", f"{name}_id IS NOT NULL")
    _partial("api_key_project", "api_key", "project_id", "parent_id IS NULL")
    op.create_index("project_organisation", "project", ["organisation_id"])


def _partial(name: str, table: str, column: str, only: str) -> None:
    where = sa.text(only)
    op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)


def _people() -> None:
    op.create_table(
        "subject",
        identifier(),
        word("kind", "user", "service_account"),
        text("name"),
        sa.Column("email", sa.Text, unique=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("project.id")),
        int64("created_at_ms"),
        sa.Column("disabled_at_ms", Int64),
        sqlite_strict=True,
    )
    _partial("subject_project", "subject", "project_id", "project_id IS NOT NULL")
    op.create_table(
        "member",
        ref("organisation_id", "organisation.id", key=True),
        ref("subject_id", "subject.id", key=True),
        text("role"),
        int64("created_at_ms"),
        sqlite_strict=True,
    )
    op.create_index("member_subject", "member", ["subject_id"])
    op.create_table(
        "project_member",
        ref("project_id", "project.id", key=True),
        ref("subject_id", "subject.id", key=True),
        ref("organisation_id", "organisation.id"),
        text("role"),
        int64("created_at_ms"),
        sqlite_strict=True,
    )
    op.create_index("project_member_subject", "project_member", ["subject_id"])
    op.create_table(
        "role",
        ref("organisation_id", "organisation.id", key=True),
        sa.Column("name", sa.Text, primary_key=True, nullable=False),
        word("level", "organisation", "project"),
        text("scopes"),
        int64("created_at_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "invitation",
        identifier(),
        ref("organisation_id", "organisation.id"),
        text("email"),
        text("role"),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        text("pepper_id"),
        text("invited_by"),
        int64("created_at_ms"),
        int64("expires_at_ms"),
        sa.Column("accepted_at_ms", Int64),
        sa.Column("revoked_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index("invitation_organisation", "invitation", ["organisation_id"])


def _admin_keys() -> None:
    op.create_table(
        "admin_key",
        identifier(),
        sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisation.id")),
        sa.Column("owner_id", sa.Text, sa.ForeignKey("subject.id")),
        text("name"),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        text("pepper_id"),
        text("prefix"),
        text("last4"),
        sa.Column("scopes", sa.Text),
        sa.Column("networks", sa.Text),
        int64("created_at_ms"),
        sa.Column("expires_at_ms", Int64),
        sa.Column("revoked_at_ms", Int64),
        sa.Column("last_used_at_ms", Int64),
        sa.CheckConstraint("(organisation_id IS NULL) = (owner_id IS NULL)"),
        sqlite_strict=True,
    )
    op.create_index("admin_key_organisation", "admin_key", ["organisation_id"])


def _audit() -> None:
    op.create_table(
        "audit_event",
        *_chained(),
        int64("at_ms"),
        text("actor_kind"),
        text("actor_id"),
        text("credential_id"),
        text("address"),
        text("action"),
        text("target"),
        sa.Column("details_hash", sa.LargeBinary, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_detail",
        *_chained(),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("redacted_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_head",
        *_chained(),
        sa.Column("key_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        int64("signed_at_ms"),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    for table in ("audit_event", "audit_head"):
        refuse_changes(table)


def _chained() -> tuple[sa.Column[str], sa.Column[int]]:
    return (
        sa.Column("organisation_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("sequence", Int64, primary_key=True, nullable=False, autoincrement=False),
    )


def _limits() -> None:
    most = (
        "requests_per_minute",
        "input_tokens_per_minute",
        "output_tokens_per_minute",
        "requests_at_once",
    )
    words = "scope IN ('key', 'project', 'organisation', 'installation')"
    op.create_table(
        "rate_limit",
        sa.Column("scope", sa.Text, sa.CheckConstraint(words), primary_key=True, nullable=False),
        sa.Column("scope_id", sa.Text, primary_key=True, nullable=False),
        sa.Column("model", sa.Text, primary_key=True, nullable=False),
        text("organisation_id"),
        *(sa.Column(name, Int64, sa.CheckConstraint(f"{name} >= 0")) for name in most),
        int64("set_at_ms"),
        sqlite_strict=True,
    )


def _webhooks() -> None:
    op.create_table(
        "webhook_endpoint",
        identifier(),
        ref("organisation_id", "organisation.id"),
        sa.Column("project_id", sa.Text, sa.ForeignKey("project.id")),
        text("url"),
        sa.Column("kinds", sa.Text),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("former_secret", sa.LargeBinary),
        sa.Column("former_until_ms", Int64),
        int64("created_at_ms"),
        sa.Column("disabled_at_ms", Int64),
        sa.Column("disabled_reason", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("delivery_target", "delivery", ["channel", "target"])
    op.create_index("webhook_endpoint_organisation", "webhook_endpoint", ["organisation_id"])


def _walls() -> None:
    for table in _OF_ORGANISATIONS:
        keep_apart(table, "organisation_id = {organisation}")
    keep_apart("organisation", "id = {organisation}")
    for table, (column, parent) in _OF_PARENTS.items():
        keep_apart(table, f"{column} IN (SELECT id FROM {parent})")
    # People belong to no organisation, or to several; service accounts to one project.
    keep_apart("subject", "project_id IS NULL OR project_id IN (SELECT id FROM project)")

"""Money: prices, terms, accounts, holds, transactions, charges, budgets, serving processes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Int64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("price", "terms", "txn", "entry", "charge")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _int64(name: str, check: str = "") -> sa.Column[int]:
    checks = [sa.CheckConstraint(f"{name} {check}")] if check else []
    return sa.Column(name, Int64, *checks, nullable=False)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True, nullable=False)


def _word(name: str, *words: str) -> sa.Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.Column(name, sa.Text, sa.CheckConstraint(f"{name} IN ({listed})"), nullable=False)


def _ref(name: str, target: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target), primary_key=key, nullable=False)


def upgrade() -> None:
    _pricing()
    _accounts()
    _transactions()
    _charges()
    _limits()
    for table in APPEND_ONLY:
        _refuse_changes(table)


def _pricing() -> None:
    op.create_table(
        "price",
        _id(),
        _text("model"),
        _text("meter"),
        _text("tier"),
        _text("plan"),
        _int64("above_input_tokens"),
        _int64("nano_per_million", ">= 0"),
        _int64("effective_from_ms"),
        _text("author"),
        _int64("created_at_ms"),
        sa.UniqueConstraint(
            "model", "meter", "tier", "plan", "above_input_tokens", "effective_from_ms"
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "terms",
        _id(),
        _ref("organisation_id", "organisation.id"),
        _word("kind", "internal", "free", "prepaid", "postpaid", "commit"),
        _text("plan"),
        _int64("share_numerator", ">= 0"),
        _int64("share_denominator", "> 0"),
        _text("discounts"),
        _text("consent"),
        _int64("effective_from_ms"),
        _text("author"),
        _int64("created_at_ms"),
        sa.UniqueConstraint("organisation_id", "effective_from_ms"),
        sqlite_strict=True,
    )
    # Until now there was one way to get an organisation: the first start, which makes the
    # operator's own.  Its use goes on being charged nothing.
    op.execute(
        "INSERT INTO terms SELECT 'terms_' || id, id, 'internal', '', 1, 1, '[]', '', "
        "created_at_ms, 'first start', created_at_ms FROM organisation"
    )


def _accounts() -> None:
    op.create_table(
        "account",
        _id(),
        _text("kind"),
        _text("organisation_id"),
        _int64("posted_nano"),
        _int64("held_nano", ">= 0"),
        sa.Column("floor_nano", Int64),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("expires_at_ms", Int64),
        _int64("created_at_ms"),
        sa.CheckConstraint("floor_nano IS NULL OR posted_nano - held_nano >= floor_nano"),
        sqlite_strict=True,
    )
    op.create_index("account_by_organisation", "account", ["organisation_id"])
    op.create_table(
        "hold",
        _id(),
        _text("organisation_id"),
        _word("state", "open", "settled", "void", "expired"),
        _int64("amount_nano", "> 0"),
        _text("parts"),
        _text("quote"),
        _text("owner"),
        _int64("opened_at_ms"),
        _int64("ttl_ms", "> 0"),
        sa.Column("resolved_at_ms", Int64),
        sqlite_strict=True,
    )
    op.create_index(
        "hold_open",
        "hold",
        ["opened_at_ms"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _transactions() -> None:
    op.create_table(
        "txn",
        _id(),
        _text("kind"),
        _text("organisation_id"),
        _text("reason"),
        _int64("created_at_ms"),
        sqlite_strict=True,
    )
    op.create_table(
        "entry",
        _ref("txn_id", "txn.id", key=True),
        _ref("account_id", "account.id", key=True),
        _int64("amount_nano", "<> 0"),
        sqlite_strict=True,
    )
    op.create_index("entry_by_account", "entry", ["account_id"])


def _charges() -> None:
    op.create_table(
        "charge",
        _id(),
        _text("organisation_id"),
        _text("project_id"),
        _text("key_id"),
        _int64("sequence"),
        _text("model"),
        _text("tier"),
        _text("outcome"),
        _text("lines"),
        _text("terms_id"),
        _int64("list_nano", ">= 0"),
        _int64("net_nano", ">= 0"),
        _int64("absorbed_nano", ">= 0"),
        _int64("charged_at_ms"),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("organisation_id", "sequence"),
        sqlite_strict=True,
    )
    op.create_index("charge_by_time", "charge", ["organisation_id", "charged_at_ms"])
    op.create_table(
        "chain",
        sa.Column("organisation_id", sa.Text, primary_key=True, nullable=False),
        _int64("sequence"),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def _limits() -> None:
    op.create_table(
        "budget",
        _id(),
        _ref("organisation_id", "organisation.id"),
        _word("scope", "organisation", "project", "key"),
        _text("scope_id"),
        _word("period", "day", "month"),
        _int64("cap_nano", ">= 0"),
        _text("alert_percents"),
        _text("webhook_url"),
        _text("mail"),
        _int64("created_at_ms"),
        sa.UniqueConstraint("scope", "scope_id", "period"),
        sqlite_strict=True,
    )
    op.create_table(
        "instance", _id(), _int64("started_at_ms"), _int64("beat_at_ms"), sqlite_strict=True
    )


def _refuse_changes(table: str) -> None:
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION portico_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for verbs, level in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {table}_refuses_{verbs.split()[0].lower()} BEFORE {verbs} ON {table} "
            f"FOR EACH {level} EXECUTE FUNCTION portico_append_only()"
        )

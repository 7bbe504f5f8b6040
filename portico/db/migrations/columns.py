"""What migrations say often.  Never changed once released: old migrations go on using it."""

import sqlalchemy as sa
from alembic import op

Int64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def int64(name: str, check: str = "") -> sa.Column[int]:
    checks = [sa.CheckConstraint(f"{name} {check}")] if check else []
    return sa.Column(name, Int64, *checks, nullable=False)


def identifier() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True, nullable=False)


def word(name: str, *words: str) -> sa.Column[str]:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.Column(name, sa.Text, sa.CheckConstraint(f"{name} IN ({listed})"), nullable=False)


def ref(name: str, target: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target), primary_key=key, nullable=False)


def refuse_changes(table: str) -> None:
    """Triggers that make a table append-only."""
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


def keep_apart(table: str, own: str) -> None:
    """Row-level security on PostgreSQL: a connection sees, and writes, what is of the organisation
    it says it is for (`portico.organisation`), all of it where it says "*", and else nothing.

    own: SQL that is true of such a row, with {organisation} for what was said.
    """
    if op.get_context().dialect.name == "sqlite":
        return
    # In brackets it is asked once for each statement, not once for each row.  After a transaction
    # that had said something it is not missing but empty.
    said = "(SELECT NULLIF(current_setting('portico.organisation', true), ''))"
    one = f"{said} = '*' OR {own.format(organisation=said)}"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")  # for its owner as well
    op.execute(f"CREATE POLICY tenant ON {table} USING ({one}) WITH CHECK ({one})")

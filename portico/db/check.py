"""Is the database what it should be?  Reads only; safe beside a running server."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from portico.db import schema
from portico.db.database import Database
from portico.db.migrations import HEAD
from portico.db.spool import FILE_NAME, REJECTED_NAME, rows_in
from portico.db.tables import APPEND_ONLY, metadata

_TRIGGERS = {
    "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
    "WHERE NOT tgisinternal AND tgenabled <> 'D'",
}
_TRIGGERS_PER_TABLE = 2
_ROLE = "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_WALLS = (
    "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid "
    "WHERE relrowsecurity AND relforcerowsecurity"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """says: what was found.  fix: what to do about it, "" where all is well."""

    name: str
    ok: bool
    says: str
    fix: str = ""


def examine(database: Database) -> list[Finding]:
    """Raises: sqlalchemy.exc.DBAPIError, when it cannot be read at all."""
    found = [database.read(_revision)]
    if database.dialect == "sqlite":
        found.append(database.read(_integrity))
    if found[0].ok:
        found.append(_guards(database))
        if database.backend.keeps_tenants_apart:
            found.append(walls(database))
    return [*found, _waiting(database.data_dir), _rejected(database.data_dir)]


def _revision(connection: Connection) -> Finding:
    stored = schema.revision(connection) or "none"
    if stored == HEAD:
        return Finding("schema", True, f"revision {stored}")
    return Finding(
        "schema", False, f"revision {stored}, this version has {HEAD}", "Run `portico db upgrade`."
    )


def _integrity(connection: Connection) -> Finding:
    said = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
    loose = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if list(said) == ["ok"] and not loose:
        return Finding("file", True, "every page and every reference is whole")
    says = "; ".join(said) if list(said) != ["ok"] else f"{len(loose)} rows refer to nothing"
    return Finding("file", False, says, "Restore the newest backup.")


def _guards(database: Database) -> Finding:
    query = _TRIGGERS[database.dialect]
    there = list(database.read(lambda c: c.exec_driver_sql(query).scalars().all()))
    bare = [table for table in APPEND_ONLY if there.count(table) < _TRIGGERS_PER_TABLE]
    if bare:
        return Finding(
            "guards",
            False,
            f"nothing refuses changes to {', '.join(bare)}",
            "Somebody removed triggers: find out who, compare with a backup.",
        )
    return Finding("guards", True, "recorded money cannot be changed or deleted")


def walls(database: Database) -> Finding:
    """Of PostgreSQL: whether it shows an organisation the rows of others.  Raises: DBAPIError."""
    role, bypasses = database.read(lambda c: tuple(c.exec_driver_sql(_ROLE).one()))
    if bypasses:
        return Finding(
            "walls",
            False,
            f"row-level security does not count for the role {role}",
            f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS; docs/guides/postgresql.md says how to "
            "make one.",
        )
    walled = set(database.read(lambda c: c.exec_driver_sql(_WALLS).scalars().all()))
    bare = sorted(_of_tenants() - walled)
    if bare:
        return Finding(
            "walls",
            False,
            f"nothing hides the rows of others in {', '.join(bare)}",
            "Somebody removed policies: find out who, compare with a backup.",
        )
    return Finding("walls", True, "each organisation is shown its own rows only")


def _of_tenants() -> set[str]:
    return {
        name
        for name, table in metadata.tables.items()
        if name == "organisation" or {"organisation_id", "project_id"} & set(table.c.keys())
    }


def _waiting(data_dir: Path) -> Finding:
    count = sum(len(rows_in(path)) for path in data_dir.glob(f"{FILE_NAME}*"))
    if not count:
        return Finding("spool", True, "nothing waits for the database")
    return Finding(
        "spool",
        False,
        f"{count} rows wait for the database",
        "A running server writes them as soon as it can; else start one.",
    )


def _rejected(data_dir: Path) -> Finding:
    rows = [row for path in data_dir.glob(f"{REJECTED_NAME}*") for row in rows_in(path)]
    if not rows:
        return Finding("rejected", True, "the database has refused no row")
    kinds = ", ".join(sorted({name for name, _ in rows}))
    return Finding(
        "rejected",
        False,
        f"the database refused {len(rows)} rows ({kinds})",
        f"They are kept in {REJECTED_NAME}; the log says why.",
    )

"""One key, found by its digest."""

from sqlalchemy import Connection, bindparam, func, select

from portico.callers.model import Caller, KnownKey
from portico.db.tables import api_key, project

_BY_DIGEST = (
    select(
        api_key.c.id,
        api_key.c.project_id,
        api_key.c.organisation_id,
        api_key.c.mode,
        api_key.c.concurrency_max,
        api_key.c.expires_at_ms,
        api_key.c.revoked_at_ms,
        project.c.data_use,
        func.coalesce(api_key.c.compatibility, project.c.compatibility).label("compatibility"),
    )
    .join(project, project.c.id == api_key.c.project_id)
    .where(api_key.c.digest.in_(bindparam("digests", expanding=True)))
)


def find(connection: Connection, digests: tuple[bytes, ...]) -> KnownKey | None:
    """`digests`: the key's digest with each pepper."""
    row = connection.execute(_BY_DIGEST, {"digests": digests}).first()
    if row is None:
        return None
    caller = Caller(
        row.id,
        row.project_id,
        row.organisation_id,
        row.mode,
        row.concurrency_max,
        compatibility=row.compatibility,
        data_use=row.data_use,
    )
    return KnownKey(caller, row.expires_at_ms, row.revoked_at_ms)

"""Issue, list and revoke keys; what projects allow.

Every function works on a connection inside a transaction of the caller's: the server runs it with
`writer.run`, the command line with `database.write`, beside a running server if there is one.
"""

from pathlib import Path

from sqlalchemy import Connection

from portico.accounts import store
from portico.accounts.model import (
    IssuedKey,
    Key,
    KeyWish,
    Project,
    UnknownKey,
    UnknownProject,
)
from portico.callers.pepper import Pepper, make_pepper, read_peppers
from portico.callers.rules import digest, new_key
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility
from portico.db.database import Database
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.pricing.model import TermsWish
from portico.pricing.service import set_terms

FIRST_KEY = KeyWish("First key")
_PREFIX_CHARACTERS = 12


def open_accounts(
    database: Database, data_dir: Path, clock: Clock, first_key: KeyWish = FIRST_KEY
) -> tuple[tuple[Pepper, ...], IssuedKey | None]:
    """The peppers, and at the first start the key that was made then.  Blocking, for start-up.

    first_key: what that key should be.

    Raises: PepperLost, when there are keys but no pepper.
    """
    if database.read(store.first_project) is not None:
        return read_peppers(data_dir), None
    make_pepper(data_dir)
    peppers = read_peppers(data_dir)
    issued = database.write(lambda connection: first_start(connection, peppers, clock, first_key))
    return peppers, issued


def first_start(
    connection: Connection,
    peppers: tuple[Pepper, ...],
    clock: Clock,
    first_key: KeyWish = FIRST_KEY,
) -> IssuedKey | None:
    """An organisation, a project and a live key; None where there is a project already.

    The organisation is the operator's own: its use is charged nothing.
    """
    if store.first_project(connection) is not None:
        return None
    now_ms = clock.wall_ms()
    organisation_id, project_id = new_id("org"), new_id("proj")
    store.add_organisation(connection, organisation_id, "Default organisation", now_ms)
    own = TermsWish(organisation_id=organisation_id, kind="internal")
    set_terms(connection, own, "first start", clock)
    store.add_project(connection, project_id, organisation_id, "Default project", now_ms)
    return create_key(connection, peppers, clock, first_key)


def create_key(
    connection: Connection,
    peppers: tuple[Pepper, ...],
    clock: Clock,
    wish: KeyWish,
    project_id: str | None = None,
) -> IssuedKey:
    """project_id: None for the project of the first start.  Raises: UnknownProject."""
    project_id = project_id or store.first_project(connection) or ""
    organisation_id = store.organisation_of(connection, project_id)
    if organisation_id is None:
        raise UnknownProject(f"There is no project {project_id!r}.")
    secret = new_key(wish.mode)
    pepper = peppers[-1]
    key = Key(
        id=new_id("key"),
        project_id=project_id,
        name=wish.name,
        mode=wish.mode,
        prefix=secret[:_PREFIX_CHARACTERS],
        last4=secret[-4:],
        concurrency_max=wish.concurrency_max,
        created_at_ms=clock.wall_ms(),
        expires_at_ms=wish.expires_at_ms,
        revoked_at_ms=None,
        compatibility=wish.compatibility,
    )
    store.add_key(connection, key, organisation_id, pepper.id, digest(pepper.secret, secret))
    return IssuedKey(key, secret)


def list_projects(connection: Connection) -> list[Project]:
    """Oldest first."""
    return store.projects(connection)


def set_data_use(connection: Connection, project_id: str, data_use: DataUse) -> Project:
    """The project as it is afterwards; a running server obeys within 5 s.  Raises: UnknownProject."""
    store.set_data_use(connection, project_id, data_use)
    return project_of(connection, project_id)


def set_project_compatibility(
    connection: Connection, project_id: str, compatibility: Compatibility
) -> Project:
    """As `set_data_use`."""
    store.set_project_compatibility(connection, project_id, compatibility)
    return project_of(connection, project_id)


def project_of(connection: Connection, project_id: str) -> Project:
    """Raises: UnknownProject."""
    for project in store.projects(connection):
        if project.id == project_id:
            return project
    raise UnknownProject(f"There is no project {project_id!r}; `portico project list` shows them.")


def list_keys(connection: Connection, project_id: str | None = None) -> list[Key]:
    """Oldest first, revoked ones included.  project_id: None for every project."""
    return store.keys(connection, project_id)


def revoke_key(connection: Connection, key_id: str, clock: Clock) -> Key:
    """The key as it is afterwards; revoking it again changes nothing.  Raises: UnknownKey."""
    store.revoke(connection, key_id, clock.wall_ms())
    return _key(connection, key_id)


def set_key_compatibility(
    connection: Connection, key_id: str, compatibility: Compatibility | None
) -> Key:
    """The key as it is afterwards; a running server obeys within 5 s.  compatibility: None for
    that of its project.  Raises: UnknownKey."""
    store.set_key_compatibility(connection, key_id, compatibility)
    return _key(connection, key_id)


def _key(connection: Connection, key_id: str) -> Key:
    key = store.key(connection, key_id)
    if key is None:
        raise UnknownKey(f"There is no key {key_id!r}; `portico key list` shows them.")
    return key

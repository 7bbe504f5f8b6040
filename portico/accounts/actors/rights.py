"""What somebody may do, found out from what he is now."""

from types import MappingProxyType

from sqlalchemy import Connection

from portico.accounts.actors import store
from portico.accounts.actors.model import Rights
from portico.accounts.actors.roles import (
    ORGANISATION_ROLES,
    ORGANISATION_SCOPES,
    PROJECT_ROLES,
    PROJECT_SCOPES,
)
from portico.audit.model import Actor

_NOTHING: frozenset[str] = frozenset()


def rights_of_subject(
    connection: Connection, organisation_id: str, subject_id: str, actor: Actor
) -> Rights:
    """Of a member: what his role gives in every project, and his project roles besides.  Of a service
    account: what its role gives in its project.

    Nothing at all for whoever is neither, is no more, or is disabled.
    actor: as whom what is done with these rights is noted.
    """
    held = store.organisation_role(connection, organisation_id, subject_id)
    if held is None and not store.works(connection, organisation_id, subject_id):
        return Rights(actor, organisation_id, _NOTHING, MappingProxyType({}))
    in_projects = {
        project_id: project_scopes(name, own)
        for project_id, name, own in store.project_roles(connection, organisation_id, subject_id)
    }
    scopes = _NOTHING if held is None else organisation_scopes(*held)
    return Rights(actor, organisation_id, scopes, MappingProxyType(in_projects))


def scopes_of_role(
    connection: Connection, organisation_id: str, name: str, level: str
) -> frozenset[str] | None:
    """level: organisation or project.  None: it has no such role."""
    built_in = ORGANISATION_ROLES if level == "organisation" else PROJECT_ROLES
    own = store.own_role(connection, organisation_id, name, level)
    if name not in built_in and own is None:
        return None
    return organisation_scopes(name, own) if level == "organisation" else project_scopes(name, own)


def organisation_scopes(name: str, own: str | None) -> frozenset[str]:
    """own: the scopes of an organisation's own role, with blanks between.

    What a row says counts only as far as a role of that level can go at all.
    """
    if name in ORGANISATION_ROLES:
        return ORGANISATION_ROLES[name]
    return frozenset((own or "").split()) & (ORGANISATION_SCOPES - {"owners:write"})


def project_scopes(name: str, own: str | None) -> frozenset[str]:
    """As `organisation_scopes`, in one project."""
    if name in PROJECT_ROLES:
        return PROJECT_ROLES[name]
    return frozenset((own or "").split()) & PROJECT_SCOPES

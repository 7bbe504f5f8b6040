"""Whose a new key is.  A key goes with its owner: it can do no more than he can, and ends when he
leaves."""

from portico import errors
from portico.accounts.actors.model import Errand, Rights, unknown
from portico.accounts.actors.rights import rights_of_subject
from portico.accounts.keys.rules import SERVICE_ACCOUNT
from portico.accounts.projects.model import Project


def owner_for(errand: Errand, project: Project, wished: str | None) -> str | None:
    """A person's key is his own, or a service account's if he may manage those: nobody leaves
    behind a key that he knows and that is somebody else's.  Only the operator makes keys that are
    the project's own, and keys for anybody.

    Raises: Refusal: resource_not_found, for an owner who can do nothing in this project;
    permission_denied.
    """
    of_installation = errand.by.organisation_id is None
    owner_id = wished if of_installation else wished or errand.by.actor.id
    if owner_id is None:
        return None
    if not of_installation and owner_id != errand.by.actor.id:
        errand.require("service_accounts:write", project.id)
    other_person = not owner_id.startswith(SERVICE_ACCOUNT) and owner_id != errand.by.actor.id
    if other_person and not of_installation:
        raise unknown("service account", owner_id)
    if not owner_rights(errand, project.organisation_id, owner_id).within(project.id):
        raise unknown("owner", owner_id)
    return owner_id


def check_replacing(errand: Errand, project_id: str, owner_id: str | None) -> None:
    """Whoever replaces a key gets to know the new one: a person's is replaced by himself, others by
    those who manage service accounts.

    Raises: Refusal: permission_denied; conflict.
    """
    if errand.by.organisation_id is None or owner_id == errand.by.actor.id:
        return
    errand.require("service_accounts:write", project_id)
    if owner_id is not None and not owner_id.startswith(SERVICE_ACCOUNT):
        raise errors.CONFLICT(
            "Only its owner can replace this key; revoke it, and let him make another.",
            field="id",
        )


def owner_rights(errand: Errand, organisation_id: str, owner_id: str) -> Rights:
    return rights_of_subject(errand.connection, organisation_id, owner_id, errand.by.actor)

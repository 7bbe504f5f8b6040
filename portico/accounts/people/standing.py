"""What follows when somebody becomes more or less than he was.

Nobody gives, takes or changes a role that has more in it than he has himself.  Whoever loses rights
loses them in the keys he has as well, in the same transaction.
"""

from portico import errors
from portico.accounts.actors.model import Errand
from portico.accounts.actors.rights import rights_of_subject, scopes_of_role
from portico.accounts.keys.service import narrow_owned
from portico.accounts.people import rules, store
from portico.accounts.people.model import OWNER, Level


def check_role(
    errand: Errand, organisation_id: str, name: str, level: Level, project_id: str | None = None
) -> None:
    """May whoever asks give this role, or take it away?

    Raises: Refusal: invalid_value, for a role there is not; permission_denied, for owners;
    rights_exceeded.
    """
    scopes = scopes_of_role(errand.connection, organisation_id, name, level)
    if scopes is None:
        raise errors.INVALID_VALUE(
            f"'role' is {name[:100]!r}; this organisation has no such role for "
            f"{'its members' if level == 'organisation' else 'members of its projects'}.",
            field="role",
            value=name[:100],
            limit=sorted(rules.BUILT_IN[level]),
        )
    if (level, name) == ("organisation", OWNER):
        errand.require("owners:write")
    rules.check_covered(scopes, errand.by.within(project_id), "role")


def check_not_last_owner(errand: Errand, organisation_id: str, subject_id: str) -> None:
    """Before an owner ceases to be one.  Whoever writes has the only writer's turn: of two owners
    who are removed at once, one is the last.

    Raises: Refusal: last_owner.
    """
    if not store.others_with_role(errand.connection, organisation_id, OWNER, subject_id):
        raise errors.LAST_OWNER(
            f"{subject_id!r} is the only owner of {organisation_id!r}.", field="id"
        )


def fit_keys(errand: Errand, organisation_id: str, subject_id: str) -> None:
    """After somebody's role changed: his keys can do no more than he can.  Of somebody who can do
    nothing any more, the keys of the admin API end too; others of those ask what he is whenever
    they are used."""
    rights = rights_of_subject(errand.connection, organisation_id, subject_id, errand.by.actor)
    narrow_owned(errand, organisation_id, subject_id, rights)
    if rights.scopes or any(rights.in_projects.values()):
        return
    now_ms = errand.clock.wall_ms()
    for key_id in store.end_admin_keys(errand.connection, organisation_id, subject_id, now_ms):
        after = {"revoked_at_ms": now_ms, "reason": _OWNER_GONE}
        errand.note(organisation_id, "admin_key.revoke", key_id, after=after)


_OWNER_GONE = "its owner can do nothing here any more"

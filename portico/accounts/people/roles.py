"""An organisation's own roles."""

from dataclasses import asdict, replace

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.people import role_store, rules
from portico.accounts.people.model import Level, Role
from portico.accounts.people.standing import fit_keys
from portico.accounts.projects.theirs import theirs


def list_roles(errand: Errand, organisation_id: str) -> list[Role]:
    """Those that every organisation has, then its own by name."""
    theirs(errand, organisation_id)
    errand.require("roles:read")
    built_in = [
        Role(organisation_id, name, level, tuple(sorted(scopes)), None)
        for level in ("organisation", "project")
        for name, scopes in rules.BUILT_IN[level].items()
    ]
    return built_in + role_store.roles(errand.connection, organisation_id)


def create_role(
    errand: Errand, organisation_id: str, name: str, level: Level, scopes: tuple[str, ...]
) -> Role:
    """scopes: of those that its maker has in the organisation; for owners also `*` and `keys:*`.

    Raises: Refusal: invalid_value, rights_exceeded, conflict, permission_denied.
    """
    theirs(errand, organisation_id)
    errand.require("roles:write")
    rules.check_role_name(name)
    own = role_store.roles(errand.connection, organisation_id)
    errand.check_room("own roles in this organisation", errand.caps.roles, lambda: len(own))
    if any(each.name == name for each in own):
        raise errors.CONFLICT(f"There is a role {name!r} already.", field="name", value=name)
    given = _given(errand, scopes, level)
    made = Role(organisation_id, name, level, given, errand.clock.wall_ms())
    role_store.add(errand.connection, made)
    errand.note(organisation_id, "role.create", name, after=asdict(made))
    return made


def change_role(errand: Errand, organisation_id: str, name: str, scopes: tuple[str, ...]) -> Role:
    """For all who have it, and at once.

    Raises: Refusal: resource_not_found, invalid_value, rights_exceeded, permission_denied.
    """
    before = _own(errand, organisation_id, name)
    after = replace(before, scopes=_given(errand, scopes, before.level))
    if after != before:
        role_store.change(errand.connection, organisation_id, name, after.scopes)
        errand.note(organisation_id, "role.update", name, asdict(before), asdict(after))
        for subject_id in role_store.holders(errand.connection, organisation_id, name):
            fit_keys(errand, organisation_id, subject_id)
    return after


def delete_role(errand: Errand, organisation_id: str, name: str) -> Role:
    """Raises: Refusal: resource_not_found, rights_exceeded, permission_denied; conflict, while
    somebody has it or is offered it."""
    before = _own(errand, organisation_id, name)
    now_ms = errand.clock.wall_ms()
    held = len(role_store.holders(errand.connection, organisation_id, name))
    if held or role_store.is_offered(errand.connection, organisation_id, name, now_ms):
        raise errors.CONFLICT(
            f"The role {name!r} is held by {held} or offered by an invitation; give them another "
            "first.",
            field="name",
        )
    role_store.remove(errand.connection, organisation_id, name)
    errand.note(organisation_id, "role.delete", name, before=asdict(before))
    return before


def _own(errand: Errand, organisation_id: str, name: str) -> Role:
    """One that whoever asks may change: nobody touches what goes beyond himself."""
    theirs(errand, organisation_id)
    errand.require("roles:write")
    for each in role_store.roles(errand.connection, organisation_id):
        if each.name == name:
            rules.check_covered(each.scopes, errand.by.within(), "name")
            return each
    raise unknown("role", name)


def _given(errand: Errand, scopes: tuple[str, ...], level: Level) -> tuple[str, ...]:
    """A role of either level may be given in every project: what its maker has in one of them is
    not enough."""
    granted = errand.by.within()
    found = rules.named(scopes, level, owner="owners:write" in granted)
    rules.check_covered(found, granted, "scopes")
    return tuple(sorted(found))

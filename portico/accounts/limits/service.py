"""Set, list and take away limits.  A running server obeys within 5 s.

Of a key or a project: whoever has `limits:write` there.  Of an organisation, or of the whole
installation: the operator alone, for they are what customers are held to.
"""

from dataclasses import asdict, fields

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.actors.names import check_name
from portico.accounts.keys import service as keys
from portico.accounts.limits import store
from portico.accounts.limits.model import Limit, Scope
from portico.accounts.projects import service as projects
from portico.accounts.projects.theirs import theirs

_LIMIT_MAX = 2**53 - 1
"""The largest count every JSON reader keeps exact."""
_MODELS_MAX = 100
"""With limits of their own in one scope: every server keeps them all in memory."""
_LIMITS = tuple(
    each.name for each in fields(Limit) if each.name not in ("scope", "scope_id", "model")
)


def set_limit(errand: Errand, limit: Limit) -> Limit:
    """In the place of what the scope had for this model; without any limit, that is taken away.

    Raises: Refusal: resource_not_found, also where there is nothing to take away; permission_denied,
    out_of_range, invalid_value; conflict, for an ephemeral key.
    """
    organisation_id = _owner(errand, limit.scope, limit.scope_id, "write")
    known = store.limits(errand.connection, None, limit.scope, limit.scope_id)
    before = next((each for each in known if each.model == limit.model), None)
    _check(limit)
    if all(getattr(limit, name) is None for name in _LIMITS):
        _remove(errand, organisation_id, limit, before)
        return limit
    if before is None:
        _check_room(limit, len(known))
    store.put(errand.connection, limit, organisation_id, errand.clock.wall_ms())
    was = None if before is None else asdict(before)
    whose = limit.scope_id or limit.scope
    errand.note(organisation_id, "limit.set", whose, was, asdict(limit))
    return limit


def limit_of(errand: Errand, scope: Scope, scope_id: str, model: str = "") -> Limit:
    """What a scope has for one model, "" for all models together.

    Raises: Refusal: resource_not_found, permission_denied; conflict, for an ephemeral key.
    """
    _owner(errand, scope, scope_id, "read")
    for each in store.limits(errand.connection, None, scope, scope_id):
        if each.model == model:
            return each
    raise _no_limit(scope, scope_id, model)


def list_limits(errand: Errand, scope: Scope | None = None, scope_id: str = "") -> list[Limit]:
    """Of one scope, or all that whoever asks may read."""
    if scope is not None:
        _owner(errand, scope, scope_id, "read")
        return store.limits(errand.connection, None, scope, scope_id)
    errand.require("limits:read")
    return store.limits(errand.connection, errand.by.organisation_id, None, "")


def _remove(errand: Errand, organisation_id: str, limit: Limit, before: Limit | None) -> None:
    if before is None:
        raise _no_limit(limit.scope, limit.scope_id, limit.model)
    store.remove(errand.connection, limit)
    whose = limit.scope_id or limit.scope
    errand.note(organisation_id, "limit.remove", whose, before=asdict(before))


def _no_limit(scope: Scope, scope_id: str, model: str) -> errors.Refusal:
    return unknown("limit", "/".join(each for each in (scope, scope_id, model) if each))


def _check(limit: Limit) -> None:
    """Raises: Refusal: out_of_range, invalid_value."""
    if limit.model:
        check_name(limit.model, "model")
    for name in _LIMITS:
        value = getattr(limit, name)
        if value is not None and not 0 <= value <= _LIMIT_MAX:
            raise errors.OUT_OF_RANGE(
                f"{name!r} is {value}; it must be 0 to {_LIMIT_MAX}.",
                field=name,
                value=value,
                limit=_LIMIT_MAX,
            )


def _check_room(limit: Limit, known: int) -> None:
    """Raises: Refusal: out_of_range."""
    if known > _MODELS_MAX:
        raise errors.OUT_OF_RANGE(
            f"There are limits for {known} models here; there may be some for {_MODELS_MAX}.",
            field="model",
            value=limit.model,
            limit=_MODELS_MAX,
        )


def _owner(errand: Errand, scope: Scope, scope_id: str, verb: str) -> str:
    """Whose limits they are: the organisation's id, "" for the installation's.

    Raises: Refusal: resource_not_found, permission_denied; conflict, for an ephemeral key.
    """
    if scope == "installation":
        errand.require(f"organisations:{verb}")
        if scope_id:
            raise unknown("installation", scope_id)
        return ""
    if scope == "organisation":
        organisation = theirs(errand, scope_id)
        errand.require("limits:read" if verb == "read" else "organisations:write")
        return organisation.id
    if scope == "project":
        project = projects.project_of(errand, scope_id)
        errand.require(f"limits:{verb}", project.id)
        return project.organisation_id
    key = keys.key_of(errand, scope_id)
    project = projects.project_of(errand, key.project_id)
    errand.require(f"limits:{verb}", project.id)
    if key.kind == "ephemeral":
        # Not set for its maker in silence: that would change what all the others made with it may.
        raise errors.CONFLICT(
            f"The key {scope_id!r} is ephemeral: the limits of {key.parent_id}, which made it, count "
            "for it.",
            field="scope_id",
            value=key.parent_id,
            remedy=f"Name {key.parent_id}: its limits are for all keys made with it together.",
        )
    return project.organisation_id

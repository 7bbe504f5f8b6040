"""How much may be asked in a minute, and at once."""

from msgspec import Struct

from portico.accounts.actors.model import unknown
from portico.accounts.limits import service
from portico.accounts.limits.model import Limit, Scope
from portico.admin.answers import Shape
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, choice_of, page_of_all

_SCOPES: tuple[Scope, ...] = ("key", "project", "organisation", "installation")


class NewLimit(Struct):
    """scope_id: left out for the installation.  model: left out for all models together.
    A number left out, or null: no limit of that kind; without any, the limit is taken away."""

    scope: Scope
    scope_id: str = ""
    model: str = ""
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    requests_at_once: int | None = None


LIMIT = Shape("limit", Limit)


def limit(found: Limit) -> Told:
    parts = (found.scope, found.scope_id, found.model)
    return LIMIT.told(found, id="/".join(each for each in parts if each))


def _named(ask: Ask) -> tuple[Scope, str, str]:
    """Scope, id and model of what `{id}` names.  Raises: Refusal: resource_not_found."""
    first, _, rest = ask.id.partition("/")
    scope_id, model = ("", rest) if first == "installation" else rest.partition("/")[::2]
    for scope in _SCOPES:
        if scope == first:
            return scope, scope_id, model
    raise unknown("limit", ask.id)


def _one(ask: Ask) -> Told:
    return limit(service.limit_of(ask.errand, *_named(ask)))


def _list(ask: Ask) -> Told:
    scope: Scope | None = None
    if ask.query.get("scope"):
        scope = next(each for each in _SCOPES if each == choice_of(ask, "scope", _SCOPES, ""))
    found = service.list_limits(ask.errand, scope, ask.query.get("scope_id", ""))
    return page_of_all(ask, found, limit)


def _set(ask: Ask) -> Told:
    new: NewLimit = ask.body
    wish = Limit(**{name: getattr(new, name) for name in Limit.__dataclass_fields__})
    return limit(service.set_limit(ask.errand, wish))


def operations() -> tuple[Operation, ...]:
    return (
        Operation(
            "GET",
            "/limits",
            "limits:read",
            "Limits, of one scope or all that you see.",
            _list,
            LIMIT.page,
            query=("scope", "scope_id", *PAGED),
        ),
        Operation(
            "PUT",
            "/limits",
            "limits:write",
            "Set a limit, or take it away.",
            _set,
            LIMIT.type,
            NewLimit,
        ),
        Operation("GET", "/limits/{id}", "limits:read", "One limit.", _one, LIMIT.type),
    )

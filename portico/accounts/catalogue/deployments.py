"""Register, order and forget deployments, for whoever may.  A running server follows within a few
seconds.

What is noted never holds a key, in whatever form.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.actors.names import check_name, check_text
from portico.engines.openai_compatible.server import server_at
from portico.engines.provider.survey import provider_at
from portico.routing import registry
from portico.routing.model import Registration, RegistrationWish

Sealing = Callable[[str], str]
"""A key, sealed for the deployment whose id is given."""


def list_deployments(errand: Errand, model: str | None = None) -> list[Registration]:
    """Those that were registered; of one model in the order in which they are tried."""
    errand.require("deployments:read")
    return registry.registered(errand.connection, model)


def deployment_of(errand: Errand, deployment_id: str) -> Registration:
    """Raises: Refusal: resource_not_found."""
    errand.require("deployments:read")
    for each in registry.registered(errand.connection):
        if each.id == deployment_id:
            return each
    raise unknown("deployment", deployment_id)


def add_deployment(
    errand: Errand, wish: RegistrationWish, sealing: Sealing | None = None
) -> Registration:
    """Raises: Refusal: invalid_value, out_of_range."""
    errand.require("deployments:write")
    _check(wish)
    made = registry.add(errand.connection, wish, errand.clock.wall_ms(), sealing)
    errand.note("", "deployment.add", made.id, after=shown(made))
    return made


def move_deployment(errand: Errand, deployment_id: str, place: int) -> list[Registration]:
    """Try it as the `place`th of its model's; those in their new order.

    Raises: Refusal: resource_not_found, out_of_range.
    """
    before = deployment_of(errand, deployment_id)
    errand.require("deployments:write")
    if place < 1:
        raise errors.OUT_OF_RANGE(
            f"'place' is {place}; it must be at least 1.", field="place", value=place, limit=1
        )
    found = list(registry.move(errand.connection, before.model, deployment_id, place))
    after = next(each for each in found if each.id == deployment_id)
    errand.note("", "deployment.move", deployment_id, shown(before), shown(after))
    return found


def replace_key(errand: Errand, deployment_id: str, sealing: Sealing) -> Registration:
    """Another key, in the place of whatever was said about its key before."""
    before = deployment_of(errand, deployment_id)
    errand.require("deployments:write")
    registry.put_key(errand.connection, before.model, deployment_id, sealing)
    after = deployment_of(errand, deployment_id)
    errand.note("", "deployment.replace_key", deployment_id, shown(before), shown(after))
    return after


def remove_deployment(errand: Errand, deployment_id: str) -> Registration:
    """What it was.  Raises: Refusal: resource_not_found."""
    before = deployment_of(errand, deployment_id)
    errand.require("deployments:write")
    registry.remove(errand.connection, before.model, deployment_id)
    errand.note("", "deployment.remove", deployment_id, before=shown(before))
    return before


def shown(registration: Registration) -> dict[str, Any]:
    """Without the key, in whatever form."""
    facts = asdict(registration)
    kept = facts.pop("sealed_key") is not None
    return facts | {"key_kept": kept}


def _check(wish: RegistrationWish) -> None:
    check_name(wish.model if wish.model.strip() else "", "model")
    if wish.upstream_model:
        check_name(wish.upstream_model, "upstream_model")
    check_text(wish.location, "location")
    try:
        if wish.engine == "openai_compatible":
            server_at(wish.location)
        else:
            provider_at(wish.engine, wish.location)
    except ValueError as error:
        raise errors.INVALID_VALUE(
            f"'location' is no base URL: {error}.", field="location"
        ) from None

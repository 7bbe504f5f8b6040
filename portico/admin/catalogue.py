"""Deployments and prices."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from portico.accounts.catalogue import deployments, prices
from portico.accounts.catalogue.deployments import shown
from portico.admin.keys import Moment
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, moment_ms, moment_of, page_of_all, plain, rfc3339
from portico.canon.data_use import DataUse
from portico.pricing.model import Price, PriceWish, Tier
from portico.routing.keys import sealed_key
from portico.routing.model import EngineKind, Registration, RegistrationWish

_PRICES_MAX = 200
ApiKey = Annotated[str, Meta(max_length=4_096)]


class NewDeployment(Struct):
    """location: base URL.  upstream_model: left out for the model's own name.  api_key: of the
    upstream; kept sealed, shown to nobody."""

    model: str
    location: str
    engine: EngineKind = "openai_compatible"
    upstream_model: str = ""
    data_use: DataUse = "no_training"
    api_key: ApiKey = ""


class Place(Struct):
    """place: 1 is tried first."""

    place: int


class UpstreamKey(Struct):
    api_key: Annotated[str, Meta(min_length=1, max_length=4_096)]


class NewPrice(Struct):
    """nano_usd_per_million: nano-USD for 1,000,000 units, as a string: JSON readers round integers
    above 2**53.  effective_from: left out for now."""

    meter: str
    nano_usd_per_million: Annotated[str, Meta(pattern=r"^[0-9]{1,19}$")]
    tier: Tier = "standard"
    plan: str = ""
    above_input_tokens: int = 0
    effective_from: Moment | None = None


class NewPrices(Struct):
    """All are stored, or none."""

    model: str
    prices: Annotated[list[NewPrice], Meta(min_length=1, max_length=_PRICES_MAX)]


def deployment(found: Registration) -> Told:
    return plain(shown(found), "deployment", "credential_env")


def price(found: Price) -> Told:
    told = plain(msgspec.structs.asdict(found), "price", "nano_per_million", "effective_from_ms")
    told["nano_usd_per_million"] = str(found.nano_per_million)
    told["effective_from"] = rfc3339(found.effective_from_ms)
    return told


def _sealing(ask: Ask, api_key: str) -> Callable[[str], str]:
    return partial(sealed_key, ask.secrets.seal, api_key=api_key)


def _list(ask: Ask) -> Told:
    model = ask.query.get("model") or None
    return page_of_all(ask, deployments.list_deployments(ask.errand, model), deployment)


def _one(ask: Ask) -> Told:
    return deployment(deployments.deployment_of(ask.errand, ask.id))


def _add(ask: Ask) -> Told:
    new: NewDeployment = ask.body
    wish = RegistrationWish(
        new.model, new.location, new.engine, new.upstream_model, None, new.data_use
    )
    sealing = _sealing(ask, new.api_key) if new.api_key else None
    return deployment(deployments.add_deployment(ask.errand, wish, sealing))


def _move(ask: Ask) -> Told:
    found = deployments.move_deployment(ask.errand, ask.id, ask.body.place)
    return {"object": "list", "data": [deployment(each) for each in found], "has_more": False}


def _replace_key(ask: Ask) -> Told:
    sealing = _sealing(ask, ask.body.api_key)
    return deployment(deployments.replace_key(ask.errand, ask.id, sealing))


def _remove(ask: Ask) -> Told:
    gone = deployments.remove_deployment(ask.errand, ask.id)
    return {"object": "deployment", "id": gone.id, "deleted": True}


def _list_prices(ask: Ask) -> Told:
    model = ask.query.get("model") or None
    at_ms = moment_of(ask, "at")
    book = prices.price_book(ask.errand)
    if at_ms is None:
        at_ms = ask.errand.clock.wall_ms()
    found = [*book.list_at(at_ms), *book.later_than(at_ms)]
    return page_of_all(ask, [each for each in found if model in (None, each.model)], price)


def _set_prices(ask: Ask) -> Told:
    new: NewPrices = ask.body
    wishes = [
        PriceWish(
            model=new.model,
            meter=each.meter,
            tier=each.tier,
            plan=each.plan,
            above_input_tokens=each.above_input_tokens,
            nano_per_million=int(each.nano_usd_per_million),
            effective_from_ms=moment_ms(each.effective_from, "effective_from"),
        )
        for each in new.prices
    ]
    stored = prices.set_prices(ask.errand, wishes)
    return {"object": "list", "data": [price(each) for each in stored], "has_more": False}


def operations() -> tuple[Operation, ...]:
    some, one, read, write = (
        "/deployments",
        "/deployments/{id}",
        "deployments:read",
        "deployments:write",
    )
    return (
        Operation(
            "GET",
            some,
            read,
            "Registered deployments, in their order.",
            _list,
            query=("model", *PAGED),
        ),
        Operation("POST", some, write, "One more way to serve a model.", _add, NewDeployment),
        Operation("GET", one, read, "One deployment.", _one),
        Operation(
            "POST", f"{one}/move", write, "When it is tried, among its model's.", _move, Place
        ),
        Operation(
            "POST",
            f"{one}/replace_key",
            write,
            "Give it another key for its upstream.",
            _replace_key,
            UpstreamKey,
        ),
        Operation("DELETE", one, write, "Forget a deployment.", _remove),
        Operation(
            "GET",
            "/prices",
            "prices:read",
            "Prices in force, then later ones.",
            _list_prices,
            query=("model", "at", *PAGED),
        ),
        Operation(
            "POST",
            "/prices",
            "prices:write",
            "Set prices of a model; what is stored is never changed.",
            _set_prices,
            NewPrices,
        ),
    )

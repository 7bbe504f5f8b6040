"""Deployments."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from portico.accounts.catalogue import deployments
from portico.admin.answers import Shape, whole_list_of
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, page_of_all
from portico.canon.data_use import DataUse
from portico.routing.keys import sealed_key
from portico.routing.model import EngineKind, Registration, RegistrationWish

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


DEPLOYMENT = Shape("deployment", Registration, ("credential_env", "sealed_key"), {"key_kept": bool})


def deployment(found: Registration) -> Told:
    return DEPLOYMENT.told(found, key_kept=found.sealed_key is not None)


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


def operations() -> tuple[Operation, ...]:
    some, one = "/deployments", "/deployments/{id}"
    read, write = "deployments:read", "deployments:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "Registered deployments, in their order.",
            _list,
            DEPLOYMENT.page,
            query=("model", *PAGED),
        ),
        Operation(
            "POST",
            some,
            write,
            "One more way to serve a model.",
            _add,
            DEPLOYMENT.type,
            NewDeployment,
        ),
        Operation("GET", one, read, "One deployment.", _one, DEPLOYMENT.type),
        Operation(
            "POST",
            f"{one}/move",
            write,
            "When it is tried, among its model's.",
            _move,
            whole_list_of(DEPLOYMENT),
            Place,
        ),
        Operation(
            "POST",
            f"{one}/replace_key",
            write,
            "Give it another key for its upstream.",
            _replace_key,
            DEPLOYMENT.type,
            UpstreamKey,
        ),
        Operation("DELETE", one, write, "Forget a deployment.", _remove, DEPLOYMENT.gone),
    )

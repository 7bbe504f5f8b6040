"""Registered deployments: added, ordered, given a key, forgotten.  A running server notices within a
few seconds.

The functions work on a connection inside a transaction of the caller's; `accounts.catalogue` asks
whether whoever wants it may, and notes it.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from portico.db.database import Database
from portico.kit.ids import new_id
from portico.routing import store
from portico.routing.model import Registration, RegistrationWish


class UnknownDeployment(LookupError):
    """The model has no such registered deployment."""


def registered(connection: Connection, model: str | None = None) -> list[Registration]:
    """Those of one model in the order in which they are tried; None: all."""
    return [each for each in store.registrations(connection) if model in (None, each.model)]


def add(
    connection: Connection,
    wish: RegistrationWish,
    now_ms: int,
    sealed: Callable[[str], str] | None = None,
) -> Registration:
    """One more way to serve its model, tried after those it already has.

    sealed: gives its key, sealed for the id that it gets.
    """
    others = registered(connection, wish.model)
    id = new_id("dep")
    registration = Registration(
        id=id,
        model=wish.model,
        engine=wish.engine,
        location=wish.location,
        upstream_model=wish.upstream_model or wish.model,
        credential_env=wish.credential_env,
        created_at_ms=now_ms,
        position=max((each.position for each in others), default=0) + 1,
        data_use=wish.data_use,
        sealed_key=sealed(id) if sealed else None,
    )
    store.insert_registration(connection, registration)
    return registration


def move(
    connection: Connection, model: str, deployment_id: str, place: int
) -> Sequence[Registration]:
    """Try it as the `place`th (1 is the first; beyond the end, the last) of the model's registered
    deployments.  Gives them in their new order.  Raises: UnknownDeployment."""
    found = registered(connection, model)
    others = [each.id for each in found if each.id != deployment_id]
    if len(others) == len(found):
        raise UnknownDeployment(f"{model!r} has no registered deployment {deployment_id!r}.")
    others.insert(place - 1, deployment_id)
    for position, id in enumerate(others, 1):
        store.put_at(connection, id, position)
    return registered(connection, model)


def put_key(
    connection: Connection, model: str, deployment_id: str, sealed: Callable[[str], str]
) -> str:
    """Give a deployment of `model` another key; "" for the only one it has.  Gives its id.

    Raises: UnknownDeployment.
    """
    found = [each.id for each in registered(connection, model)]
    if not deployment_id and len(found) != 1:
        raise UnknownDeployment(
            f"{model!r} has {len(found)} registered deployments; name one with --deployment."
        )
    id = deployment_id or found[0]
    if id not in found:
        raise UnknownDeployment(f"{model!r} has no registered deployment {deployment_id!r}.")
    store.put_key(connection, id, sealed(id))
    return id


def remove(connection: Connection, model: str, deployment_id: str | None = None) -> int:
    """Forget this registered deployment of `model`, or all of them; how many there were."""
    return store.delete_registrations(connection, model, deployment_id)


class Registry:
    """What is registered, for whoever follows it.  Blocking."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[Registration]:
        return self._database.read(registered)

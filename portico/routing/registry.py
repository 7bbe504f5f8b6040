"""What `portico model` does: register, order, list and forget deployments.  Blocking; a running
server notices within a few seconds."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from portico.canon.data_use import DataUse
from portico.db.database import Database
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.routing import store
from portico.routing.model import EngineKind, Registration


class UnknownDeployment(LookupError):
    """The model has no such registered deployment."""


class Registry:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def list(self) -> list[Registration]:
        return self._database.read(store.registrations)

    def add(
        self,
        *,
        model: str,
        location: str,
        engine: EngineKind = "openai_compatible",
        upstream_model: str = "",
        credential_env: str | None = None,
        sealed: Callable[[str], str] | None = None,
        data_use: DataUse = "no_training",
    ) -> Registration:
        """One more way to serve `model`, tried after those it already has.

        sealed: gives its key, sealed for the id that it gets.
        """

        def insert(connection: Connection) -> Registration:
            others = _of_model(connection, model)
            id = new_id("dep")
            registration = Registration(
                id=id,
                model=model,
                engine=engine,
                location=location,
                upstream_model=upstream_model or model,
                credential_env=credential_env,
                created_at_ms=self._clock.wall_ms(),
                position=max((each.position for each in others), default=0) + 1,
                data_use=data_use,
                sealed_key=sealed(id) if sealed else None,
            )
            store.insert_registration(connection, registration)
            return registration

        return self._database.write(insert)

    def move(self, model: str, deployment_id: str, place: int) -> Sequence[Registration]:
        """Try it as the `place`th (1 is the first; beyond the end, the last) of the model's
        registered deployments.  Gives them in their new order.  Raises: UnknownDeployment."""

        def reorder(connection: Connection) -> Sequence[Registration]:
            found = _of_model(connection, model)
            others = [each.id for each in found if each.id != deployment_id]
            if len(others) == len(found):
                raise UnknownDeployment(
                    f"{model!r} has no registered deployment {deployment_id!r}."
                )
            others.insert(place - 1, deployment_id)
            for position, id in enumerate(others, 1):
                store.put_at(connection, id, position)
            return _of_model(connection, model)

        return self._database.write(reorder)

    def put_key(self, model: str, deployment_id: str, sealed: Callable[[str], str]) -> str:
        """Give a deployment of `model` another key; "" for the only one it has.  Gives its id.

        Raises: UnknownDeployment.
        """

        def replace(connection: Connection) -> str:
            found = [each.id for each in _of_model(connection, model)]
            if not deployment_id and len(found) != 1:
                raise UnknownDeployment(
                    f"{model!r} has {len(found)} registered deployments; name one with "
                    "--deployment."
                )
            id = deployment_id or found[0]
            if id not in found:
                raise UnknownDeployment(
                    f"{model!r} has no registered deployment {deployment_id!r}."
                )
            store.put_key(connection, id, sealed(id))
            return id

        return self._database.write(replace)

    def remove(self, model: str, deployment_id: str | None = None) -> int:
        """Forget this registered deployment of `model`, or all of them; how many there were."""
        return self._database.write(lambda c: store.delete_registrations(c, model, deployment_id))


def _of_model(connection: Connection, model: str) -> Sequence[Registration]:
    return [each for each in store.registrations(connection) if each.model == model]

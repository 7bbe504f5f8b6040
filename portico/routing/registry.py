"""What `portico model` does: register, list and forget deployments.  Blocking; a running server
notices within a few seconds."""

from portico.db.database import Database
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.routing import store
from portico.routing.model import Registration


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
        upstream_model: str = "",
        credential_env: str | None = None,
    ) -> Registration:
        """One more way to serve `model`, tried after those it already has."""
        registration = Registration(
            id=new_id("dep"),
            model=model,
            engine="openai_compatible",
            location=location,
            upstream_model=upstream_model or model,
            credential_env=credential_env,
            created_at_ms=self._clock.wall_ms(),
        )
        self._database.write(lambda c: store.insert_registration(c, registration))
        return registration

    def remove(self, model: str) -> int:
        """Forget every registered deployment of `model`; how many there were."""
        return self._database.write(lambda c: store.delete_registrations(c, model))

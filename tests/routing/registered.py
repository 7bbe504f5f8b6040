"""Deployments registered without anybody's leave."""

from collections.abc import Callable, Sequence
from typing import Any

from portico.db.database import Database
from portico.kit.clock import Clock
from portico.routing import registry
from portico.routing.model import Registration, RegistrationWish


class Registry(registry.Registry):
    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database)
        self._clock = clock

    def add(self, *, sealed: Callable[[str], str] | None = None, **wish: Any) -> Registration:
        wished, now_ms = RegistrationWish(**wish), self._clock.wall_ms()
        return self._database.write(lambda c: registry.add(c, wished, now_ms, sealed))

    def move(self, model: str, deployment_id: str, place: int) -> Sequence[Registration]:
        return self._database.write(lambda c: registry.move(c, model, deployment_id, place))

    def put_key(self, model: str, deployment_id: str, sealed: Callable[[str], str]) -> str:
        return self._database.write(lambda c: registry.put_key(c, model, deployment_id, sealed))

    def remove(self, model: str, deployment_id: str | None = None) -> int:
        return self._database.write(lambda c: registry.remove(c, model, deployment_id))

"""Drills: asked for by the command line, obeyed by the one server they name.  Blocking.

The database is the way in because nobody but the operator can write to it: there is no route that
cuts off an engine.
"""

import os
import socket
from dataclasses import replace

from portico.db.database import Database
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.routing import store
from portico.routing.model import Deployment, Drill

SECONDS_MAX = 60
_STALE_MS = 60_000
"""A drill that nobody saw for so long is not wanted any more."""


def server_name(pid: int) -> str:
    """What a server on this host is called: several may share a database."""
    return f"{socket.gethostname()}/{pid}"


class Drills:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._seen: set[str] = set()

    def ask(self, pid: int, model: str, seconds: int) -> Drill:
        """For the server with this process id.  seconds: 1 to 60."""
        now_ms = self._clock.wall_ms()
        wanted = Drill(new_id("drill"), server_name(pid), model, seconds, now_ms)
        self._database.write(lambda connection: store.insert_drill(connection, wanted))
        return wanted

    def look(self, id: str) -> Drill:
        """As it stands."""
        return self._database.read(lambda connection: store.drill_of(connection, id))

    def waiting(self) -> list[Drill]:
        """Those this process is to run.  Each is given once: if its answer cannot be written, it
        must not be run again and again."""
        me, since_ms = server_name(os.getpid()), self._clock.wall_ms() - _STALE_MS
        found = self._database.read(lambda c: store.waiting_drills(c, me, since_ms))
        new = [drill for drill in found if drill.id not in self._seen]
        self._seen.update(drill.id for drill in new)
        return new

    def began(self, drill: Drill, at_ms: int, deployment: Deployment) -> None:
        """at_ms: wall clock."""
        self._answer(replace(drill, began_at_ms=at_ms, deployment=deployment.told))

    def refused(self, drill: Drill, problem: str) -> None:
        self._answer(replace(drill, problem=problem))

    def _answer(self, answered: Drill) -> None:
        self._database.write(lambda connection: store.answer_drill(connection, answered))

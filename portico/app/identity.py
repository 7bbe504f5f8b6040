"""What is made of the peppers: who is calling, and what keeps callers apart."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from portico.callers import store
from portico.callers.deputies import Deputies
from portico.callers.last_use import LastUse
from portico.callers.pepper import Pepper
from portico.callers.presence import Presence
from portico.callers.salts import Salts
from portico.callers.service import Callers
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.kit.clock import Clock
from portico.kit.sealing import Seal
from portico.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """presence: cuts off whose key ends.  last_use: notes when each key was used last.
    salts: keep callers apart in engines' caches.  seal: closes what callers keep for us.
    deputies: callers who are not there.  absent: cuts off those whose key is withdrawn."""

    peppers: tuple[Pepper, ...]
    callers: Callers
    presence: Presence
    last_use: LastUse
    salts: Salts
    seal: Seal
    deputies: Deputies
    absent: Presence

    @property
    def follow(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """Work beside the road, to be started once the door opens."""
        return self.presence.run, self.absent.run, self.last_use.run


def identity(
    settings: Settings,
    readers: Readers,
    writer: Writer,
    peppers: tuple[Pepper, ...],
    clock: Clock,
) -> Identity:
    last_use = LastUse(writer.run, clock, store.note_use)
    callers = Callers(readers, peppers, clock, last_use.note)
    deputies = Deputies(readers, clock)
    return Identity(
        peppers,
        callers,
        Presence(readers, clock, callers.forget),
        last_use,
        Salts(peppers[-1].secret, settings.upstream.cache_scope),
        Seal([each.secret for each in peppers]),
        deputies,
        Presence(readers, clock, deputies.forget, store.withdrawn),
    )

"""What is made of the peppers: who is calling, and what keeps callers apart."""

from dataclasses import dataclass

from portico.callers.pepper import Pepper
from portico.callers.presence import Presence
from portico.callers.salts import Salts
from portico.callers.service import Callers
from portico.db.readers import Readers
from portico.kit.clock import Clock
from portico.kit.sealing import Seal
from portico.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """presence: cuts off whose key ends.  salts: keep callers apart in engines' caches.
    seal: closes what callers keep for us."""

    callers: Callers
    presence: Presence
    salts: Salts
    seal: Seal


def identity(
    settings: Settings, readers: Readers, peppers: tuple[Pepper, ...], clock: Clock
) -> Identity:
    return Identity(
        Callers(readers, peppers, clock),
        Presence(readers, clock),
        Salts(peppers[-1].secret, settings.upstream.cache_scope),
        Seal([each.secret for each in peppers]),
    )

"""Events on their way: signed, and as unreliable as the switches say."""

import random
from dataclasses import dataclass
from typing import Any

import msgspec

from portico.billing.payments.provider.signature import header_for
from portico.kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Switches:
    """Shares from 0 to 1: sent twice, sent after later ones, not sent at all.  delay_s: before
    anything is sent."""

    duplicate: float = 0.0
    reorder: float = 0.0
    drop: float = 0.0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Letter:
    """signature: the Stripe-Signature header."""

    event_id: str
    body: bytes
    signature: str


class Courier:
    """secret: what events are signed with."""

    def __init__(self, secret: str, clock: Clock, rng: random.Random) -> None:
        self.secret = secret
        self.switches = Switches()
        self._clock = clock
        self._rng = rng
        self._waiting: list[dict[str, Any]] = []

    def put(self, event: dict[str, Any]) -> None:
        self._waiting.append(event)

    def letters(self) -> list[Letter]:
        """What is to be delivered now, in this order."""
        waiting, self._waiting = self._waiting, []
        return [self._sealed(event) for event in mixed(waiting, self.switches, self._rng)]

    def _sealed(self, event: dict[str, Any]) -> Letter:
        body = msgspec.json.encode(event)
        return Letter(
            event["id"], body, header_for(self.secret, body, self._clock.wall_ms() // 1000)
        )


def mixed(
    events: list[dict[str, Any]], switches: Switches, rng: random.Random
) -> list[dict[str, Any]]:
    """Some dropped, some doubled, some put somewhere behind where they were."""
    places: list[tuple[float, dict[str, Any]]] = []
    for at, event in enumerate(events):
        if rng.random() < switches.drop:
            continue
        copies = 2 if rng.random() < switches.duplicate else 1
        for _ in range(copies):
            late = rng.uniform(0, len(events)) if rng.random() < switches.reorder else 0.0
            places.append((at + late, event))
    return [event for _, event in sorted(places, key=lambda place: place[0])]

"""The load of every server we have deployments at, asked for again and again.

For people: nothing is routed by it, our own counts of what runs are fresher than any page.
"""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from portico.engines.load.asking import NotTold, ask_load
from portico.engines.load.model import Load, Measured
from portico.engines.load.page import TELLS
from portico.engines.openai_compatible.server import Kind, Server
from portico.engines.transport.base import Transport
from portico.routing.model import Deployment
from portico.routing.service import Routing

log = logging.getLogger(__name__)
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Place:
    """A server, however many models it serves."""

    server: Server
    kind: Kind

    @property
    def name(self) -> str:
        return self.server.shown()


class Loads:
    """every_s: from the end of one round to the beginning of the next; 0: nobody is asked."""

    def __init__(self, routing: Routing, transport: Transport, every_s: float) -> None:
        self._routing = routing
        self._transport = transport
        self._every_s = every_s
        self._known: dict[str, Load] = {}
        self._silent: dict[str, str] = {}
        """Why a server's load is not known; said once."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._every_s:
            await self.round()
            await asyncio.sleep(self._every_s)

    async def round(self) -> None:
        """Ask every server once.  What one does not tell now is not known from now on."""
        places = {place.name: place for _, place in self._places()}
        for forgotten in self._known.keys() - places.keys():
            del self._known[forgotten]
        self._silent = {name: why for name, why in self._silent.items() if name in places}
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def ask(place: _Place) -> None:
            async with at_once:
                await self._ask(place)

        await asyncio.gather(*(ask(place) for place in places.values()))

    def all(self) -> Iterator[tuple[str, str, Load]]:
        """(model, deployment as it is told, what its server said last), of those that said any."""
        for deployment, place in self._places():
            load = self._known.get(place.name)
            if load is not None:
                yield deployment.model, deployment.told, load

    def _places(self) -> Iterator[tuple[Deployment, _Place]]:
        for deployments in self._routing.models().values():
            for deployment in deployments:
                engine = deployment.engine
                measured = engine.measured if isinstance(engine, Measured) else None
                if measured is not None and measured[1] in TELLS:
                    yield deployment, _Place(*measured)

    async def _ask(self, place: _Place) -> None:
        try:
            self._known[place.name] = await ask_load(self._transport, place.server, place.kind)
        except NotTold as silent:
            self._known.pop(place.name, None)
            if self._silent.get(place.name) != str(silent):
                self._silent[place.name] = str(silent)
                log.warning("the load of %s is not known: %s", place.name, silent)
        else:
            self._silent.pop(place.name, None)

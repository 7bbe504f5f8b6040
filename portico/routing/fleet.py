"""Every deployment at work.  Upstreams come and go while Portico runs; routing sees whole snapshots.

A server that cannot be reached is no error: it is said once, asked again at every `follow`, and
served as soon as it answers.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.probe import probe
from portico.engines.openai_compatible.server import Server, server_at
from portico.engines.openai_compatible.survey import survey
from portico.engines.transport.base import Deadlines, Transport
from portico.kit.clock import Clock
from portico.routing.model import Deployment
from portico.routing.service import Routing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """An upstream that should be served.

    model: the name developers use; "" takes every model of the server under its own name.
    upstream_model: what the server calls it.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    model: str = ""
    upstream_model: str = ""


class Fleet:
    """
    concurrency_max: requests at once for an upstream that does not say how many it runs.
    """

    def __init__(
        self,
        routing: Routing,
        transport: Transport,
        clock: Clock,
        deadlines: Deadlines,
        concurrency_max: int,
    ) -> None:
        self._routing = routing
        self._transport = transport
        self._clock = clock
        self._deadlines = deadlines
        self._concurrency_max = concurrency_max
        self._own: list[Deployment] = []
        self._reached: dict[Wish, tuple[Deployment, ...]] = {}
        self._problems: dict[Wish, str] = {}

    def add_own(self, deployments: Iterable[Deployment]) -> None:
        """Deployments that stay for as long as Portico runs: embedded, simulated."""
        self._own += deployments
        self._publish()

    async def follow(self, wishes: Sequence[Wish]) -> dict[Wish, str]:
        """Serve exactly these upstreams beside our own; what is wrong with those not reached."""
        before = dict(self._reached)
        self._reached = {wish: self._reached[wish] for wish in wishes if wish in self._reached}
        missing = [wish for wish in wishes if wish not in self._reached]
        found = await asyncio.gather(*(self._reach(wish) for wish in missing))
        for wish, deployments in zip(missing, found, strict=True):
            if isinstance(deployments, str):
                self._complain(wish, deployments)
            else:
                self._reached[wish] = deployments
                self._problems.pop(wish, None)
        self._reached = {wish: self._reached[wish] for wish in wishes if wish in self._reached}
        if self._reached != before:
            self._publish()
        return {wish: why for wish, why in self._problems.items() if wish in wishes}

    @property
    def size(self) -> int:
        return sum(len(deployments) for deployments in self._routing.models().values())

    @property
    def ready(self) -> int:
        known = self._routing.models().values()
        return sum(d.engine.ready for deployments in known for d in deployments)

    def _publish(self) -> None:
        upstream = (d for deployments in self._reached.values() for d in deployments)
        self._routing.replace([*self._own, *upstream])

    def _complain(self, wish: Wish, problem: str) -> None:
        if self._problems.get(wish) != problem:
            _log.warning("%s is not served yet: %s", wish.model or wish.base_url, problem)
        self._problems[wish] = problem

    async def _reach(self, wish: Wish) -> tuple[Deployment, ...] | str:
        """The deployments of an upstream, or what is wrong with it in one sentence."""
        try:
            server = server_at(wish.base_url, wish.api_key, deadlines=self._deadlines)
        except ValueError as error:
            return f"{error}."
        if wish.model:
            return await self._one(server, wish.model, wish.upstream_model)
        surveyed = await survey(self._transport, server)
        if surveyed.problem:
            return surveyed.problem
        found = await asyncio.gather(
            *(self._one(server, model.name, model.name) for model in surveyed.models)
        )
        served = tuple(
            d for deployments in found if not isinstance(deployments, str) for d in deployments
        )
        return served or next((p for p in found if isinstance(p, str)), "it offers no model.")

    async def _one(
        self, server: Server, model: str, upstream_model: str
    ) -> tuple[Deployment, ...] | str:
        probed = await probe(
            self._transport, server, upstream_model, concurrency_max=self._concurrency_max
        )
        if probed.problem:
            return probed.problem
        engine = OpenAICompatible(server, probed, self._transport, self._clock)
        shown = f"{server.origin.host}:{server.origin.port}{server.base_path}"
        return (
            Deployment(
                id=f"{shown}/{upstream_model}",
                model=model,
                engine=engine,
                owned_by=probed.kind,
                created_at_s=self._clock.wall_ms() // 1000,
            ),
        )

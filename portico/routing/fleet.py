"""Every deployment at work.  Upstreams come and go while Portico runs; routing sees whole snapshots.

A server that cannot be reached is no error: it is said once, asked again at every `follow`, and
served as soon as it answers.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from portico.canon.data_use import DataUse
from portico.engines.base import Engine
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.probe import try_stream
from portico.engines.openai_compatible.server import Server, server_at
from portico.engines.openai_compatible.survey import ModelFound, Survey, survey
from portico.engines.provider.outbound import ProviderKind
from portico.engines.provider.survey import provider_at, provider_engine, survey_provider
from portico.engines.transport.base import Deadlines, Transport
from portico.kit.clock import Clock
from portico.kit.tasks import Tasks
from portico.routing.model import Deployment, EngineKind
from portico.routing.service import Routing
from portico.routing.unplugged import Unplugged

_log = logging.getLogger(__name__)
_NAMED_MAX = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """An upstream that should be served.

    model: the name developers use; "" takes models of the server under their own names.
    upstream_model: what the server calls it.
    among: names of the models to take where `model` is "", as far as it lists them; empty takes
      the first ones it lists.
    alias: what callers and metrics are told, who need not know where it is.
    data_use: what whoever runs it does with prompts.
    efforts: the reasoning efforts its models take; empty leaves that to the server.
    kind: what it speaks; a provider's models are not taken from its list but named.
    trouble: why it cannot even be asked (its key cannot be read), "" where nothing is in the way.
    """

    base_url: str
    api_key: str = field(default="", repr=False)
    model: str = ""
    upstream_model: str = ""
    among: tuple[str, ...] = ()
    alias: str = ""
    data_use: DataUse = "no_training"
    efforts: frozenset[str] = frozenset()
    kind: EngineKind = "openai_compatible"
    trouble: str = ""


class Fleet:
    """
    concurrency_max: requests at once for an upstream that does not say how many it runs.
    models_max: models taken from a server's list where none are named: each is tried with a tiny
      answer, and a public server lists hundreds.
    """

    def __init__(
        self,
        routing: Routing,
        transport: Transport,
        tasks: Tasks,
        clock: Clock,
        deadlines: Deadlines,
        *,
        concurrency_max: int,
        models_max: int,
    ) -> None:
        self._routing = routing
        self._transport = transport
        self._tasks = tasks
        self._clock = clock
        self._deadlines = deadlines
        self._concurrency_max = concurrency_max
        self._models_max = models_max
        self._own: list[Deployment] = []
        self._wishes: list[Wish] = []
        self._reached: dict[Wish, list[Deployment]] = {}
        self._standing_in: dict[Wish, list[Deployment]] = {}
        """What serves until a wish with a new key has been asked."""
        self._reaching: set[Wish] = set()
        self._answered = asyncio.Event()
        self._problems: dict[Wish, str] = {}
        self._cut: dict[tuple[str, str], float] = {}
        """Until when (monotonic seconds), by model and id."""

    @property
    def size(self) -> int:
        return sum(len(deployments) for deployments in self._routing.models().values())

    @property
    def ready(self) -> int:
        known = self._routing.models().values()
        return sum(d.engine.ready for deployments in known for d in deployments)

    def add_own(self, deployments: Iterable[Deployment]) -> None:
        """Deployments that stay for as long as Portico runs: embedded, simulated."""
        self._own += deployments
        self._publish()

    async def follow(self, wishes: Sequence[Wish], patience_s: float = 0.0) -> dict[Wish, str]:
        """Serve exactly these upstreams beside our own.  Waits `patience_s` at most for those it
        has to ask first; each model is served from the moment it has answered.

        Gives what is wrong with those not served."""
        before, self._wishes = self._wishes, list(wishes)
        known = {**self._standing_in, **self._reached}
        self._reached = {wish: self._reached[wish] for wish in wishes if wish in self._reached}
        self._standing_in = {wish: _with_another_key(wish, known) for wish in self._missing()}
        if before != self._wishes or self._cut:
            self._publish()
        for wish in wishes:
            if wish not in self._reached and wish not in self._reaching:
                self._reaching.add(wish)
                self._tasks.start(self._reach(wish))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._reaching:
                    self._answered.clear()
                    await self._answered.wait()
        return {wish: self._problems.get(wish, "still asking.") for wish in self._missing()}

    def _missing(self) -> list[Wish]:
        return [wish for wish in self._wishes if wish not in self._reached]

    def cut(self, model: str, seconds: float) -> tuple[Deployment | None, str]:
        """Pull the plug of the model's first deployment for so long; answers under way go on.

        Gives it, or None and why that would be no drill.
        """
        deployments = self._routing.models().get(model, ())
        problem = _no_drill(model, deployments, self._routing)
        if problem:
            return None, problem
        first = deployments[0]
        self._cut[model, first.id] = self._clock.monotonic_s() + seconds
        self._publish()
        _log.warning("%s is cut off from %s for %g s: a drill", first.id, model, seconds)
        return first, ""

    def _publish(self) -> None:
        now_s = self._clock.monotonic_s()
        self._cut = {where: until_s for where, until_s in self._cut.items() if until_s > now_s}
        upstream = (d for wish in self._wishes for d in self._of(wish))
        self._routing.replace(self._plugged(each) for each in (*self._own, *upstream))

    def _of(self, wish: Wish) -> Sequence[Deployment]:
        return self._reached.get(wish) or self._standing_in.get(wish) or ()

    def _plugged(self, deployment: Deployment) -> Deployment:
        until_s = self._cut.get((deployment.model, deployment.id))
        if until_s is None:
            return deployment
        return replace(deployment, engine=Unplugged(deployment.engine, self._clock, until_s))

    async def _reach(self, wish: Wish) -> None:
        """Ask a server what it serves, and serve that."""
        try:
            problem = await self._ask(wish)
        finally:
            self._reaching.discard(wish)
            self._answered.set()
        if wish in self._reached:
            self._problems.pop(wish, None)
            if problem:  # said once: what serves anything is not asked again
                _log.warning("%s is served in part: %s", wish.model or wish.base_url, problem)
            return
        if self._standing_in.pop(wish, None):
            self._publish()
        if self._problems.get(wish) != problem:
            self._problems[wish] = problem
            _log.warning("%s is not served yet: %s", wish.model or wish.base_url, problem)

    async def _ask(self, wish: Wish) -> str:
        """What is not served, and why; "" when all is."""
        if wish.trouble:
            return wish.trouble
        if wish.kind != "openai_compatible":
            return await self._ask_provider(wish, wish.kind)
        try:
            server = server_at(wish.base_url, wish.api_key, deadlines=self._deadlines)
        except ValueError as error:
            return f"{error}."
        surveyed = await survey(self._transport, server)
        if surveyed.problem:
            return surveyed.problem
        if wish.model:
            return await self._try(wish, server, surveyed, wish.model, wish.upstream_model)
        names, left_out = self._choice(wish, surveyed.models)
        problems = await asyncio.gather(
            *(self._try(wish, server, surveyed, name, name) for name in names)
        )
        return "  ".join(filter(None, [*problems, left_out]))

    def _choice(self, wish: Wish, listed: Sequence[ModelFound]) -> tuple[list[str], str]:
        """The models to try, and what is to be said about the others."""
        if not wish.among:
            names = [model.name for model in listed]
            return names[: self._models_max], not_tried(names[self._models_max :])
        named = [m.name for m in listed if m.name in wish.among or m.listed_as in wish.among]
        return named, "" if named else "It lists none of the models in upstream.models."

    async def _try(
        self, wish: Wish, server: Server, surveyed: Survey, model: str, upstream_model: str
    ) -> str:
        profile = await try_stream(
            self._transport,
            server,
            surveyed,
            upstream_model,
            concurrency_max=self._concurrency_max,
            efforts=wish.efforts or None,
        )
        if profile.problem:
            return profile.problem
        if profile.remark:
            _log.info("%s: %s", model, profile.remark)
        engine = OpenAICompatible(server, profile, self._transport, self._clock)
        self._serve(wish, server, model, upstream_model, engine, profile.kind)
        return ""

    async def _ask_provider(self, wish: Wish, kind: ProviderKind) -> str:
        """Nothing is generated: it would cost money at every start."""
        try:
            server = provider_at(kind, wish.base_url, wish.api_key, self._deadlines)
        except ValueError as error:
            return f"{error}."
        surveyed = await survey_provider(self._transport, server, kind)
        if surveyed.problem:
            return surveyed.problem
        listed = surveyed.model(wish.upstream_model)
        engine = provider_engine(
            kind, server, listed, self._transport, self._clock, self._concurrency_max
        )
        self._serve(wish, server, wish.model, wish.upstream_model, engine, kind)
        return ""

    def _serve(
        self, wish: Wish, server: Server, model: str, upstream_model: str, engine: Engine, by: str
    ) -> None:
        shown = f"{server.origin.host}:{server.origin.port}{server.base_path}"
        deployment = Deployment(
            id=f"{shown}/{upstream_model}",
            model=model,
            engine=engine,
            owned_by=by,
            created_at_s=self._clock.wall_ms() // 1000,
            data_use=wish.data_use,
            alias=wish.alias,
        )
        if wish in self._wishes:
            self._reached.setdefault(wish, []).append(deployment)
            self._publish()


def _with_another_key(wish: Wish, known: dict[Wish, list[Deployment]]) -> list[Deployment]:
    """What serves the same wish with the key it had before: a key is changed without a gap."""
    for other, deployments in known.items():
        if replace(other, api_key=wish.api_key, trouble=wish.trouble) == wish:
            return deployments
    return []


def not_tried(models: Sequence[str]) -> str:
    """The sentence that names what was left out, "" when nothing was."""
    if not models:
        return ""
    shown = ", ".join(models[:_NAMED_MAX])
    more = f" and {len(models) - _NAMED_MAX} more" if len(models) > _NAMED_MAX else ""
    return (
        f"Not tried and not served: {shown}{more}; name the models you want in upstream.models, or "
        "raise upstream.models_max."
    )


def _no_drill(model: str, deployments: Sequence[Deployment], routing: Routing) -> str:
    """Why cutting off the first of these would show nothing, or would be an outage; "" if not."""
    if not deployments:
        return f"no model is called {model!r} here."
    if len(deployments) == 1:
        return f"{model!r} has one deployment only: there is nothing to fail over to."
    states = {told: state for name, told, state in routing.states() if name == model}
    working = [each for each in deployments if each.engine.ready and states[each.told] == "closed"]
    if deployments[0] not in working:
        return f"{deployments[0].told}, the first deployment, is not serving now."
    if len(working) == 1:
        return "no other deployment is ready to take over: that would be an outage, not a drill."
    return ""

"""The embedded engine: one model in a supervised child, spoken to like any other server.

What it adds to the adapter is about a child that can die: a request that arrives during a restart
waits for it, one that had no answer yet is tried again, and one that kills the child twice is
refused from then on.
"""

import asyncio

from portico import errors
from portico.canon.prompt import Prompt
from portico.engines.base import Abilities, Relay
from portico.engines.embedded.child import WORKER, Child, ModelToServe, StartFailed
from portico.engines.embedded.rules import RestartPolicy, Suspects
from portico.engines.embedded.supervisor import State, Supervisor
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.probe import probe
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.refusals import EngineLost
from portico.engines.openai_compatible.server import Kind, Server, server_at
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed
from portico.kit.clock import Clock

# A restart takes 0.4 s for the demo model and seconds for a big one.
_WAIT_READY_S = 30.0
_WAIT_DEATH_S = 1.0
_POISON_DEATHS = 2
_HEALTH_DEADLINES = Deadlines(connect_s=2.0, first_byte_s=2.0, idle_s=2.0, total_s=3.0)


class EmbeddedEngine:
    """See `base.Engine`.  Made by `start_embedded`; `run` must be running for it to heal."""

    def __init__(
        self,
        supervisor: Supervisor,
        transport: Transport,
        clock: Clock,
        deadlines: Deadlines,
        profile: Profile,
    ) -> None:
        self.abilities: Abilities = profile.abilities
        self.profile = profile
        self._supervisor = supervisor
        self._transport = transport
        self._clock = clock
        self._deadlines = deadlines
        self._suspects = Suspects()
        self._alone = asyncio.Lock()
        self._adapter: tuple[Child, OpenAICompatible] | None = None

    @property
    def ready(self) -> bool:
        return self._supervisor.child is not None

    @property
    def state(self) -> State:
        return self._supervisor.state

    @property
    def why(self) -> str:
        """Why it is not ready, "" when it is."""
        return self._supervisor.why

    @property
    def measured(self) -> tuple[Server, Kind] | None:
        """See `load.Measured`."""
        child = self._supervisor.child
        return None if child is None else (_server(child, _HEALTH_DEADLINES), self.profile.kind)

    async def run(self) -> None:
        """Restart the child whenever it dies, until close().  For the owner's task set."""
        await self._supervisor.run()

    async def close(self) -> None:
        await self._supervisor.stop()

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        if self._suspects and self._suspects.deaths(prompt.body, self._clock.monotonic_s()):
            await self._generate_suspect(prompt, relay)
            return
        try:
            await self._once(prompt, relay)
        except EngineLost as lost:
            if lost.began:
                raise
            await self._generate_suspect(prompt, relay)

    async def count(self, prompt: Prompt) -> int | None:
        child = self._supervisor.child
        return None if child is None else await self._adapter_for(child).count(prompt)

    async def _generate_suspect(self, prompt: Prompt, relay: Relay) -> None:
        """One that may have killed the child, or lost it to a neighbour.  Suspects run one after
        the other, so that an innocent neighbour is not there at the second death."""
        async with self._alone:
            if self._suspects.deaths(prompt.body, self._clock.monotonic_s()) >= _POISON_DEATHS:
                raise _poison()
            try:
                await self._once(prompt, relay)
            except EngineLost as lost:
                now_s = self._clock.monotonic_s()
                if not lost.began and self._suspects.deaths(prompt.body, now_s) >= _POISON_DEATHS:
                    raise _poison() from lost
                raise
            self._suspects.clear(prompt.body)

    async def _once(self, prompt: Prompt, relay: Relay) -> None:
        child = await self._supervisor.wait_ready(_WAIT_READY_S)
        try:
            await self._adapter_for(child).generate(prompt, relay)
        except EngineLost:
            if await self._supervisor.wait_gone(child, _WAIT_DEATH_S):
                self._suspects.blame(prompt.body, self._clock.monotonic_s())
            raise

    def _adapter_for(self, child: Child) -> OpenAICompatible:
        """Each child has its own port and key."""
        if self._adapter is None or self._adapter[0] is not child:
            server = _server(child, self._deadlines)
            adapter = OpenAICompatible(server, self.profile, self._transport, self._clock)
            self._adapter = child, adapter
        return self._adapter[1]


async def start_embedded(
    model: ModelToServe,
    transport: Transport,
    clock: Clock,
    deadlines: Deadlines | None = None,
    policy: RestartPolicy | None = None,
    command: tuple[str, ...] = WORKER,
) -> EmbeddedEngine:
    """Start the child, wait until the model is loaded, ask it what it can do.

    Raises: StartFailed: nothing is left running.
    """

    async def healthy(child: Child) -> bool:
        return await _healthy(transport, _server(child, _HEALTH_DEADLINES))

    deadlines = deadlines or Deadlines()
    supervisor = Supervisor(model, clock, healthy, policy, command)
    await supervisor.start()
    try:
        assert supervisor.child is not None
        server = _server(supervisor.child, deadlines)
        profile = await probe(
            transport, server, model.alias, share_prefix_cache=model.share_prefix_cache
        )
        if profile.problem:
            raise StartFailed("engine", profile.problem)
    except BaseException:
        await supervisor.stop(0)
        raise
    return EmbeddedEngine(supervisor, transport, clock, deadlines, profile)


async def _healthy(transport: Transport, server: Server) -> bool:
    call = Call(server.origin, "GET", "/health", server.headers, b"", server.deadlines, reuse=False)
    try:
        answer = await transport.send(call)
    except TransportFailed:
        return False
    answer.close()
    return answer.status == 200


def _server(child: Child, deadlines: Deadlines) -> Server:
    return server_at(f"http://{child.host}:{child.port}", child.key, deadlines=deadlines)


def _poison() -> errors.Refusal:
    return errors.POISON_REQUEST("This exact request has crashed the engine twice.")

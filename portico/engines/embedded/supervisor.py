"""Keeps one child alive: starts it, watches it, restarts it with back-off, gives up loudly.

The supervisor is a state machine driven by one coroutine, `run`, which the owner starts in its own
task set.  Everybody else only reads `child` or waits in `wait_ready`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from portico import errors
from portico.engines.base import UpstreamFailed
from portico.engines.embedded.child import WORKER, Child, ModelToServe, StartFailed, start_child
from portico.engines.embedded.rules import RestartPolicy, Restarts
from portico.kit.clock import Clock

State = Literal["idle", "starting", "ready", "waiting", "circuit_open", "stopped"]
Health = Callable[[Child], Awaitable[bool]]

_HEALTH_EVERY_S = 1.0
_UNHEALTHY_MAX = 5

_log = logging.getLogger(__name__)


class Supervisor:
    """`state` and `why` (in words, "" when all is well) are for doctor, readiness and logs.

    health: asks a child whether it still answers; five times no in a row and it is killed.
    """

    def __init__(
        self,
        model: ModelToServe,
        clock: Clock,
        health: Health,
        policy: RestartPolicy | None = None,
        command: tuple[str, ...] = WORKER,
    ) -> None:
        self.model = model
        self.child: Child | None = None
        self.state: State = "idle"
        self.why = ""
        self.starts = 0
        self._clock = clock
        self._health = health
        self._command = command
        self._restarts = Restarts(policy or RestartPolicy())
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """The first child; `run` takes over from there.  Raises: StartFailed: it is not tried
        again, because a model that cannot be loaded now will not be loadable in a second."""
        self._enter("starting")
        try:
            self.child = await start_child(self.model, self._command)
        except StartFailed as failed:
            self._enter("stopped", failed.detail)
            raise
        self._became_ready()

    async def run(self) -> None:
        """Keep a child alive until stop().  Start it in a task after `start`; cancelling that
        task stops the watching, not the child: call `stop` as well."""
        while self.state != "stopped":
            if self.child is not None:
                await self._watch(self.child)
            else:
                await self._restart()

    async def wait_ready(self, within_s: float) -> Child:
        """The child, as soon as there is one.  Raises: UpstreamFailed(engine_unavailable), at
        once when the circuit is open or after stop()."""
        try:
            async with asyncio.timeout(within_s):
                while self.child is None:
                    self._refuse_if_down()
                    await self.changes()
        except TimeoutError:
            raise _unavailable(
                f"The engine is restarting and was not ready within {within_s:g} s.", 1_000
            ) from None
        return self.child

    async def changes(self) -> None:
        """Wait for the next change of `state`."""
        await self._changed.wait()

    async def wait_gone(self, child: Child, within_s: float) -> bool:
        """Has `child` died?  A broken connection may be seen before the death that broke it."""
        try:
            async with asyncio.timeout(within_s):
                while self.child is child:
                    await self.changes()
        except TimeoutError:
            return False
        return self.state != "stopped"

    async def stop(self, grace_s: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `grace_s`.  Returns when the child is gone."""
        child, self.child = self.child, None
        self._enter("stopped", "Portico is shutting down.")
        if child is not None:
            await child.stop(grace_s)

    # --- inside --------------------------------------------------------------------------------

    async def _watch(self, child: Child) -> None:
        """Until this child is dead."""
        async with asyncio.TaskGroup() as group:
            checks = group.create_task(self._check_health(child))
            how = await child.ended()
            checks.cancel()
        if self.child is child:
            self.child = None
        if self.state == "stopped":
            return
        _log.error("The embedded engine died: %s", how)
        await self._died(how)

    async def _check_health(self, child: Child) -> None:
        unhealthy = 0
        while unhealthy < _UNHEALTHY_MAX:
            await asyncio.sleep(_HEALTH_EVERY_S)
            unhealthy = 0 if await self._health(child) else unhealthy + 1
        _log.error("The embedded engine has not answered %d health checks: killed.", unhealthy)
        child.kill()

    async def _restart(self) -> None:
        self._restarts.trying()
        self._enter("starting", self.why)
        try:
            child = await start_child(self.model, self._command)
        except StartFailed as failed:
            _log.error("The embedded engine did not start: %s", failed.detail)
            await self._died(failed.detail)
            return
        if self.state == "stopped":  # meanwhile
            await child.stop(0)
            return
        self.child = child
        self._became_ready()

    async def _died(self, how: str) -> None:
        wait_s = self._restarts.died(self._clock.monotonic_s())
        if self._restarts.circuit_open:
            _log.error("The embedded engine stays down; next try in %g s.", wait_s)
            self._enter("circuit_open", f"It died too often; last: {how}.")
        else:
            self._enter("waiting", f"It died: {how}.")
        try:
            async with asyncio.timeout(wait_s):
                while self.state != "stopped":
                    await self.changes()
        except TimeoutError:
            return

    def _became_ready(self) -> None:
        self.starts += 1
        self._enter("ready")

    def _enter(self, state: State, why: str = "") -> None:
        self.state = state
        self.why = why
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _refuse_if_down(self) -> None:
        if self.state == "stopped":
            raise _unavailable("The embedded engine is not running.", None)
        if self.state == "circuit_open":
            raise _unavailable("The embedded engine is down: it died too often.", 30_000)


def _unavailable(message: str, retry_after_ms: int | None) -> UpstreamFailed:
    return UpstreamFailed(errors.ENGINE_UNAVAILABLE(message, retry_after_ms=retry_after_ms))

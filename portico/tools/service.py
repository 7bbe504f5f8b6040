"""The servers of one run, and how many runs there are at once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.canon.remote import RemoteTool, Server
from portico.tools.http import Poster
from portico.tools.model import Limits, Result, ToolFailed
from portico.tools.session import Session

_RETRY_MS = 1_000


@dataclass(frozen=True, slots=True)
class Listed:
    """error: why a server offers nothing.  left_out: see `Offer`."""

    server: Server
    tools: tuple[RemoteTool, ...]
    error: str = ""
    left_out: bool = False


class Tools:
    """One event loop owns this object."""

    def __init__(self, poster: Poster, limits: Limits) -> None:
        self._poster = poster
        self.limits = limits
        self._runs: Counter[str] = Counter()

    def begin(self, caller: Caller) -> "Servers":
        """Of one run; `end` it.  Raises: Refusal: too many are under way."""
        limits, project = self.limits, caller.project_id
        if self._runs.total() >= limits.runs_max:
            raise errors.OVERLOADED(
                f"{limits.runs_max} runs with remote tools are under way, as many as this server "
                "does at once.",
                limit=limits.runs_max,
                retry_after_ms=_RETRY_MS,
            )
        if self._runs[project] >= limits.runs_per_project_max:
            raise errors.CONCURRENCY(
                f"{limits.runs_per_project_max} runs with remote tools are under way for this "
                "project, as many as it may have.",
                limit=limits.runs_per_project_max,
                retry_after_ms=_RETRY_MS,
            )
        self._runs[project] += 1
        return Servers(self, project)

    def session(self, server: Server) -> Session:
        return Session(server, self._poster, self.limits)

    def over(self, project: str) -> None:
        self._runs[project] -= 1
        if not self._runs[project]:
            del self._runs[project]


class Servers:
    """Those of one run; nothing of them is shared with another."""

    def __init__(self, tools: Tools, project: str) -> None:
        self._tools = tools
        self._project = project
        self._sessions: dict[str, Session] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._places = asyncio.Semaphore(tools.limits.parallel)

    async def listed(self, servers: Sequence[Server]) -> list[Listed]:
        """What each offers; all are asked at once."""
        return list(await asyncio.gather(*map(self._listed, servers)))

    async def call(self, server: Server, name: str, arguments: str) -> Result:
        """Raises: ToolFailed."""
        try:
            given = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ToolFailed("arguments_invalid", "The model's arguments are no JSON object.")
        async with self._places:
            session = await self._opened(server)
            try:
                return await session.call(name, given)
            except ToolFailed:
                if not session.gone:
                    raise
            # It ended before this call: nothing of it was done, and MCP asks for a new one.
            return await (await self._opened(server)).call(name, given)

    async def end(self) -> None:
        """However the run ended."""
        try:
            await asyncio.gather(*(session.close() for session in self._sessions.values()))
        finally:
            self._tools.over(self._project)

    async def _listed(self, server: Server) -> Listed:
        try:
            offer = await (await self._opened(server)).tools()
            return Listed(server, offer.tools, left_out=offer.left_out)
        except ToolFailed as failed:
            return Listed(server, (), str(failed))

    async def _opened(self, server: Server) -> Session:
        async with self._opening.setdefault(server.label, asyncio.Lock()):
            session = self._sessions.get(server.label)
            if session is None or session.gone:
                session = self._tools.session(server)
                await session.open()
                self._sessions[server.label] = session
            return session

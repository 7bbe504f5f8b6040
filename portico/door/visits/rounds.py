"""An answer that remote tools are called for: rounds of the model, and between them what it asked for.

Each round is a journey, with its own admission, hold and record, so nothing about money is new here.
Nothing is set aside while a tool is waited for.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from portico import errors, journey
from portico.callers.model import Caller
from portico.callers.scopes import TOOLS
from portico.canon.conversation import Item, TextPart, ToolResult
from portico.canon.delta import Delta, Event, Finished
from portico.canon.prompt import Prompt
from portico.canon.remote import (
    Approved,
    RemoteAsked,
    RemoteCallBegan,
    RemoteCallEnded,
    RemoteTool,
    RemoteTools,
    Server,
)
from portico.canon.usage import NOTHING
from portico.db.writer import Writer
from portico.door.visits.generation import Handed, Visit
from portico.door.visits.round import NATURAL, Call, Round
from portico.kit.clock import Clock
from portico.kit.leaving import DRAINED, REVOKED, Left
from portico.kit.tasks import Tasks
from portico.metering.late import leave
from portico.metering.rules import id_of_round
from portico.tools.model import OF_SERVERS, Observer, Result, ToolFailed
from portico.tools.naming import named
from portico.tools.service import Listed, Servers, Tools

Functions = dict[str, tuple[Server, RemoteTool]]
log = logging.getLogger(__name__)
NOT_LATER = (
    "What is sent to them may be secret and is never stored, so nobody could call them once this "
    "request is gone."
)
_FAILED = "The tool says that it did not work."
_CUT_OFF = Result("", "cut_off")
_LATE = "The time for this answer's tools is over ({limit:g} s)."


class Document(Protocol):
    """A request, as its dialect reads and rewrites it."""

    servers: list[Server]

    @property
    def calls_max(self) -> int | None: ...

    @property
    def names(self) -> set[str]: ...

    def listed(self, server: Server) -> tuple[RemoteTool, ...] | None: ...

    def approved(self, project_id: str) -> list[Approved]:
        """Calls that are allowed now.  Raises: Refusal."""
        ...

    def body(
        self,
        functions: Mapping[str, tuple[Server, RemoteTool]],
        rounds: Sequence[Item],
        results: Mapping[str, str],
        *,
        output_tokens_max: int | None,
    ) -> bytes: ...


class Wording(Protocol):
    """Of a dialect."""

    def wanted(self, prompt: Prompt) -> bool: ...

    def document(self, prompt: Prompt, servers_max: int) -> Document:
        """Raises: Refusal."""
        ...

    def approval_id(
        self, project_id: str, item_id: str, server: Server, name: str, arguments: str
    ) -> str: ...


class RemoteRounds:
    """See `generation.Rounds`.  One event loop owns this object."""

    def __init__(
        self, tools: Tools, wording: Wording, writer: Writer, clock: Clock, observer: Observer
    ) -> None:
        self._tools = tools
        self._observer = observer
        self._endings = Tasks(lambda failure: log.error("a run was not ended", exc_info=failure))
        self._wording = wording
        self._writer = writer
        self._clock = clock

    def wanted(self, prompt: Prompt) -> bool:
        return self._wording.wanted(prompt)

    def check(self, prompt: Prompt, caller: Caller, *, background: bool) -> None:
        """Raises: Refusal: permission_denied; what is wrong with the servers it names."""
        if TOOLS not in caller.scopes:
            raise errors.PERMISSION_DENIED(
                f"This key may not have tools of remote servers called: it lacks {TOOLS!r}.",
                field="tools",
                value=sorted(caller.scopes),
                limit=TOOLS,
            )
        self._wording.document(prompt, self._tools.limits.servers_max)
        if background:
            raise errors.UNSUPPORTED_FEATURE(
                f"'background' is true, and 'tools' names remote servers. {NOT_LATER}",
                field="background",
                value=True,
                remedy="Wait for the answer, or stream it.",
            )

    async def run(self, visit: Visit, handed: Handed, rooms: journey.Rooms) -> None:
        servers = self._tools.begin(handed.caller)
        run = _Run(
            *(self._tools, self._wording, servers, visit, handed, rooms, self._clock),
            self._observer,
        )
        try:
            await run.go()
        except Left:
            await self._leave(run, _outcome_of(visit.leaving.reason))
            raise
        except errors.Refusal as refusal:
            if not run.begun:
                raise
            await run.flush()
            told = visit.broken_off(refusal)
            await self._leave(run, "refused")
            if not told:
                raise
            visit.reply(told, run.charged(None))
        else:
            if run.final is not None:
                visit.compose(run.final)
                await self._leave(run, "completed")
                await visit.send(run.final)
        finally:
            # Nobody waits for servers that take their time to be left: a connection's next request
            # would.
            self._endings.start(servers.end())

    async def _leave(self, run: "_Run", outcome: str) -> None:
        """What is kept of an answer that ended between two journeys: in a commit of its own."""
        visit, caller = run.visit, run.caller
        if run.recorded:
            return
        kept = None if visit.keeper is None else visit.keeper.end(outcome)
        claim = visit.claim
        if claim is not None:
            claim.goes_on = False
        ended = None if claim is None or outcome != "completed" else claim.end(outcome)
        if kept is None and ended is None:
            return
        now_ms = self._clock.wall_ms()
        await self._writer.run(partial(leave, caller.organisation_id, kept, ended, now_ms))


class _Run:
    """One answer.  begun: something was made or done for it already.
    recorded: the record of its last round tells what became of it.
    final: its end, where that comes after the last journey."""

    def __init__(
        self,
        tools: Tools,
        wording: Wording,
        servers: Servers,
        visit: Visit,
        handed: Handed,
        rooms: journey.Rooms,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.visit = visit
        self.caller = handed.caller
        self.begun = False
        self.recorded = False
        self.final: Delta | None = None
        self._limits = limits = tools.limits
        self._wording = wording
        self._servers = servers
        self._rooms = rooms
        self._clock = clock
        self._observer = observer
        self._document = document = wording.document(handed.prompt, limits.servers_max)
        self._until_s = clock.monotonic_s() + limits.run_s
        self._warnings = handed.prompt.warnings
        self._output_tokens_max = handed.prompt.output_tokens_max
        self._calls_max = min(limits.calls_max, document.calls_max or limits.calls_max)
        self._functions: Functions = {}
        self._ahead: tuple[Event, ...] = ()
        self._items: list[Item] = []
        self._results: dict[str, str] = {}
        self._ids: set[str] = set()
        self._used = NOTHING
        self._rounds = self._calls = self._shown = self._asked = 0
        self._charged_nano: int | None = None
        self._late = False

    async def go(self) -> None:
        """Raises: Refusal; Left."""
        document = self._document
        allowed = document.approved(self.caller.project_id)
        if allowed or any(document.listed(each) is None for each in document.servers):
            await self._admit()
        await self._list()
        await self._do_approved(allowed)
        while self.final is None:
            round = self._next(self._asked_now())
            try:
                await journey.serve(round, round, self._rooms)
            finally:
                self.recorded = round.recorded
            self.begun = True
            if not round.goes_on:
                return
            await self._after(round)

    def _asked_now(self) -> Prompt:
        """Of an engine, in the next round."""
        return self.visit.of_round(
            self._document.body(
                self._functions,
                self._items,
                self._results,
                output_tokens_max=self._tokens_left(),
            )
        )

    async def flush(self) -> None:
        """Show what would have been shown with the next round."""
        if self._ahead:
            await self.visit.send(Delta(events=self._ahead, meters=self._used))
            self._ahead = ()

    def charged(self, nano: int | None) -> int | None:
        """See `round.Ending`."""
        if nano is not None:
            self._charged_nano = (self._charged_nano or 0) + nano
        return self._charged_nano

    # -- before --------------------------------------------------------------------------------

    async def _list(self) -> None:
        """What there is to call: known from before, or asked for."""
        servers = self._document.servers
        known = {each.label: self._document.listed(each) for each in servers}
        asked = [each for each in servers if known[each.label] is None]
        listed: list[Listed] = []
        with self.visit.leaving:
            listed = await self._servers.listed(asked)
        self._check_there()
        self._warnings += [
            f"{each.error.partition(':')[0] or 'tools_left_out'}; "
            f'field="{each.server.path}"; action=dropped'
            for each in listed
            if each.error or each.left_out
        ]
        offers = [(each.server, each.tools) for each in listed]
        offers += [(each, tools) for each in servers if (tools := known[each.label]) is not None]
        self._functions = named(offers, self._document.names)
        self._ahead = tuple(
            RemoteTools(each.server.label, each.tools, each.error) for each in listed
        )

    async def _do_approved(self, allowed: Sequence[Approved]) -> None:
        """Calls that waited for their caller's word."""
        if not allowed:
            return
        servers = {each.label: each for each in self._document.servers}
        self._calls += len(allowed)
        self.begun = True
        done = await self._do(
            [(servers[each.label], each.name, each.arguments, each.request_id) for each in allowed],
            shown=False,
        )
        for each, (said, _) in zip(allowed, done, strict=True):
            self._results[each.request_id] = said

    async def _admit(self) -> None:
        """As the first round will be, as far as it is known, and let go again before a server is
        asked: for whoever may not go on, for want of credit or within his limits, nobody is bothered.

        Raises: Refusal; Left."""
        rooms, caller, prompt = self._rooms, self.caller, self._asked_now()
        routes = rooms.routing.choose(prompt, caller.data_use, caller.models)
        offer = rooms.counter.offer(caller, prompt, routes.context_tokens)
        permit = await rooms.admission.admit(
            *(f"{self.visit.request_id}_0", caller, routes, offer, self.visit.leaving),
            prompt.input_tokens_guess,
        )
        permit.withdraw()

    def _next(self, prompt: Prompt) -> Round:
        visit, first = self.visit, self._rounds == 0
        self._rounds += 1
        round = Round(
            visit,
            prompt,
            self,
            self._functions,
            request_id=id_of_round(visit.request_id, self._rounds),
            arrived_s=visit.arrived_s if first else self._clock.monotonic_s(),
            base=self._used,
            shown=self._shown,
            ahead=self._ahead,
            ids=self._ids,
        )
        self._ahead = ()
        return round

    # -- how a round ends ----------------------------------------------------------------------

    def close(self, round: Round, final: Delta) -> Delta | None:
        """See `round.Ending`."""
        calls = [each for each in round.calls.values() if each.found is not None]
        if round.finished.reason not in NATURAL or final.cut:
            calls = []  # the last may lack its end
        doing = [each for each in calls if not _asks(each)]
        asked = [self._question(each) for each in calls if _asks(each)]
        limit = self._limit(len(doing), round)
        if doing and not limit:
            round.asked = asked
            return None
        events: list[Event] = []
        for each in doing:
            label, name = _of(each)
            events.append(RemoteCallBegan(label, name, each.arguments))
            why = f"not_called: {limit} is reached."
            events.append(RemoteCallEnded("", why, code=OF_SERVERS))
        end = _limited(limit) if doing else round.finished
        return Delta(
            events=(*events, *asked, end),
            meters=round.used,
            last=True,
            finish=final.finish,
            cut=final.cut,
        )

    def _limit(self, calls: int, round: Round) -> str:
        """Which one keeps the run from going on, "" for none."""
        limits, used = self._limits, round.used
        if self._calls + calls > self._calls_max:
            return "max_tool_calls" if self._calls_max < limits.calls_max else "tools.calls_max"
        if self._rounds >= limits.rounds_max:
            return "tools.rounds_max"
        if used.input_tokens + used.output_tokens >= limits.tokens_max:
            return "tools.tokens_max"
        most = self._output_tokens_max
        if most is not None and used.output_tokens >= most:
            return "max_output_tokens"
        return "tools.run_s" if self._clock.monotonic_s() >= self._until_s else ""

    def _question(self, call: Call) -> RemoteAsked:
        assert call.found is not None
        server, tool = call.found
        item_id = f"{self.visit.answer_id.removeprefix('req_')}{self._asked:x}"
        self._asked += 1
        about = (server, tool.name, call.arguments)
        said_id = self._wording.approval_id(self.caller.project_id, item_id, *about)
        return RemoteAsked(said_id, server.label, tool.name, call.arguments)

    # -- between rounds ------------------------------------------------------------------------

    async def _after(self, round: Round) -> None:
        """Do what the model asked for, and see whether it is asked again."""
        self._used, self._shown = round.used, round.shown
        doing = [each for each in round.calls.values() if each.found and not _asks(each)]
        self._calls += len(doing)
        wanted = [
            (each.found[0], each.found[1].name, each.arguments, "") for each in doing if each.found
        ]
        done = await self._do(wanted, shown=True)
        self._items += round.items
        self._items += [
            ToolResult(call.id, (TextPart(said),), failed=failed)
            for call, (said, failed) in zip(doing, done, strict=True)
        ]
        theirs = any(each.found is None for each in round.calls.values())
        if theirs or round.asked or self._late:
            end = _limited("tools.run_s") if self._late else round.finished
            self.final = Delta(
                events=(*round.asked, end),
                meters=self._used,
                last=True,
                charged_nano=self._charged_nano,
            )

    async def _do(
        self, calls: Sequence[tuple[Server, str, str, str]], *, shown: bool
    ) -> list[tuple[str, bool]]:
        """Make them, several at once, and show them one after the other.  Gives what each came to,
        and whether it failed.  calls: whose, name, arguments, the question that allowed it.
        shown: now; else with the first of the next round."""
        done: list[tuple[str, bool]] = []
        with self.visit.leaving:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(*call[:3])) for call in calls]
                for call, task in zip(calls, tasks, strict=True):
                    done.append(await self._told(call, task, shown=shown))
        self._check_there()
        return done

    async def _told(
        self, call: tuple[Server, str, str, str], task: "asyncio.Task[Result]", *, shown: bool
    ) -> tuple[str, bool]:
        server, name, arguments, approval_id = call
        began = RemoteCallBegan(server.label, name, arguments, approval_id)
        await self._show(began, shown=shown)
        result = await task
        said, ended = result.text, RemoteCallEnded(result.text)
        if result.failed:
            ended = RemoteCallEnded("", said or _FAILED, result.fault, result.number)
        await self._show(ended, shown=shown)
        return said, bool(result.failed)

    def _check_there(self) -> None:
        """Behind a scope that a hang-up ends.  Raises: Left."""
        if self.visit.leaving.left:
            raise Left(self.visit.leaving.reason)

    async def _one(self, server: Server, name: str, arguments: str) -> Result:
        began_s, result = self._clock.monotonic_s(), _CUT_OFF
        try:
            result = await self._called(server, name, arguments, self._until_s - began_s)
        finally:
            spent_s = self._clock.monotonic_s() - began_s
            self._observer.called(result.failed or "answered", spent_s)
        return result

    async def _called(self, server: Server, name: str, arguments: str, left_s: float) -> Result:
        try:
            async with asyncio.timeout(max(left_s, 0)):
                return await self._servers.call(server, name, arguments)
        except ToolFailed as failed:
            return failed.result
        except TimeoutError:
            self._late = True
            return ToolFailed("run_timeout", _LATE.format(limit=self._limits.run_s)).result

    def _tokens_left(self) -> int | None:
        most = self._output_tokens_max
        return None if most is None else max(most - self._used.output_tokens, 1)

    async def _show(self, event: Event, *, shown: bool) -> None:
        if shown:
            await self.visit.send(Delta(events=(event,), meters=self._used))
        else:
            self._ahead = (*self._ahead, event)


def _asks(call: Call) -> bool:
    assert call.found is not None
    server, tool = call.found
    return server.must_ask(tool)


def _of(call: Call) -> tuple[str, str]:
    """Label and name."""
    assert call.found is not None
    server, tool = call.found
    return server.label, tool.name


def _limited(limit: str) -> Finished:
    if limit == "max_output_tokens":
        return Finished("length")
    return Finished("tool_limit", native=limit)


def _outcome_of(reason: str) -> str:
    return {DRAINED: "drained", REVOKED: "revoked"}.get(reason, "client_gone")

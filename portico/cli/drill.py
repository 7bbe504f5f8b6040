"""`portico model drill`: cut off a model's first deployment on purpose, and measure what callers see."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from portico.cli.output import Exit, console, say_json, stop
from portico.cli.place import database_of, settings_for
from portico.cli.running import local, running
from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Call, TransportFailed
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import SystemClock
from portico.routing.drills import SECONDS_MAX, Drills
from portico.routing.model import Drill
from portico.settings import Settings

_PAUSE_S = 0.05
"""Between two questions, one after the other: what is measured is no finer than this."""
_OBEYED_WITHIN_MS = 10_000
_BACK_WITHIN_MS = 30_000
_ANSWER_BYTES_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class Heard:
    """One small request.  at_ms: wall clock, when its answer was there.
    deployment: who gave it; says: why nobody did, "" where somebody did."""

    at_ms: int
    deployment: str
    says: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Times in milliseconds; None: it did not happen while we looked.

    took_over_ms: from the cut to the first answer by another deployment.
    back_ms: from the end of the cut to the first answer by the one that was cut off.
    """

    model: str
    cut: str
    cut_s: int
    sent: int
    answered: int
    took_over: str | None
    took_over_ms: int | None
    back_ms: int | None


def drill(
    name: str,
    /,
    *,
    seconds: Annotated[
        int, Parameter(help=f"How long the first deployment is cut off; 1 to {SECONDS_MAX}.")
    ] = 10,
    data_dir: Annotated[str | None, Parameter(help="Folder of the server's data.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print JSON.")] = False,
) -> None:
    """Cut off the first deployment of NAME at the running server, and report how long callers wait.

    Meanwhile it asks for one token, up to twenty times a second.  Answers under way are not cut.  The
    server ends the drill by itself, whatever becomes of this command.
    """
    if not 1 <= seconds <= SECONDS_MAX:
        stop(Exit.USAGE, f"--seconds is {seconds}; it may be 1 to {SECONDS_MAX}.")
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        found = asyncio.run(_drill(settings, name, seconds))
    except TransportFailed as failed:
        stop(Exit.FAILED, f"the server did not answer: {failed.detail}")
    if json:
        say_json(asdict(found))
    else:
        _say(found)
    if found.took_over_ms is None or found.back_ms is None:
        stop(Exit.FAILED, "the failover did not work; the server's log says why.")


async def _drill(settings: Settings, model: str, seconds: int) -> Findings:
    serving = local(Path(settings.server.data_dir))
    drills = Drills(database_of(settings), SystemClock())
    async with running(settings, "portico model drill") as server:
        transport = NativeTransport()
        try:
            before = await _ask(transport, server, model)
            if before.says:
                stop(Exit.FAILED, f"{model} does not answer: {before.says}")
            wanted = await asyncio.to_thread(drills.ask, serving.pid, model, seconds)
            run, heard = await _watch(transport, server, drills, wanted)
        finally:
            await transport.close()
    return findings(run, heard)


async def _watch(
    transport: NativeTransport, server: Server, drills: Drills, wanted: Drill
) -> tuple[Drill, list[Heard]]:
    """Ask on until the drill is over and the first deployment is back, or is not."""
    heard: list[Heard] = []
    run = wanted
    while not _is_over(run, heard):
        await asyncio.sleep(_PAUSE_S)
        heard.append(await _ask(transport, server, run.model))
        if run.began_at_ms is not None:
            continue
        run = await asyncio.to_thread(drills.look, run.id)
        if run.problem is not None:
            stop(Exit.FAILED, run.problem)
        if heard[-1].at_ms > run.asked_at_ms + _OBEYED_WITHIN_MS:
            stop(Exit.FAILED, "the server did not take the drill up; its log says why.")
    return run, heard


def _is_over(run: Drill, heard: Sequence[Heard]) -> bool:
    if run.began_at_ms is None or not heard:
        return False
    ends_ms, last = run.began_at_ms + 1_000 * run.seconds, heard[-1]
    if last.at_ms < ends_ms:
        return False
    return last.deployment == run.deployment or last.at_ms > ends_ms + _BACK_WITHIN_MS


async def _ask(transport: NativeTransport, server: Server, model: str) -> Heard:
    question = {"role": "user", "content": "Say yes."}
    body = {"model": model, "messages": [question], "max_completion_tokens": 1}
    encoded = msgspec.json.encode(body)
    answer = await transport.send(
        Call(server.origin, "POST", server.chat_target, server.headers, encoded, server.deadlines)
    )
    said = await answer.read(_ANSWER_BYTES_MAX)
    at_ms = SystemClock().wall_ms()
    if answer.status != 200:
        return Heard(at_ms, "", msgspec.json.decode(said)["error"]["message"])
    named = (value for name, value in answer.headers if name.lower() == b"portico-deployment")
    return Heard(at_ms, next(named, b"").decode("latin-1"), "")


def findings(run: Drill, heard: Sequence[Heard]) -> Findings:
    """What `heard` says about a drill that began."""
    assert run.began_at_ms is not None
    assert run.deployment is not None
    ends_ms = run.began_at_ms + 1_000 * run.seconds
    during = [each for each in heard if each.at_ms >= run.began_at_ms and not each.says]
    others = [each for each in during if each.deployment != run.deployment]
    back = [e for e in during if e.deployment == run.deployment and e.at_ms >= ends_ms]
    return Findings(
        model=run.model,
        cut=run.deployment,
        cut_s=run.seconds,
        sent=len(heard),
        answered=sum(not each.says for each in heard),
        took_over=others[0].deployment if others else None,
        took_over_ms=others[0].at_ms - run.began_at_ms if others else None,
        back_ms=back[0].at_ms - ends_ms if back else None,
    )


def _say(found: Findings) -> None:
    lines = [f"{found.model}: {found.cut} was cut off for {found.cut_s} s, on purpose."]
    if found.took_over_ms is not None:
        lines.append(f"  {found.took_over} answered {found.took_over_ms} ms after the cut")
    if found.back_ms is not None:
        lines.append(f"  {found.cut} answered again {found.back_ms} ms after its end")
    lines.append(f"  {found.answered} of {found.sent} requests were answered")
    console.print("\n".join(lines), markup=False)

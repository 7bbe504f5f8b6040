"""`portico ask`: one question to the running server, answered as it streams in."""

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from portico.cli.output import Exit, console, errors, say_json, stop
from portico.cli.place import settings_for
from portico.cli.running import running
from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Answer, Call, TransportFailed
from portico.engines.transport.native import NativeTransport
from portico.settings import Settings

_BODY_BYTES_MAX = 4_194_304


@dataclass(slots=True)
class Heard:
    """What came back.  Times are seconds on the monotonic clock."""

    asked_s: float
    text: str = ""
    first_s: float | None = None
    ended_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


def ask(
    question: str,
    /,
    *,
    model: Annotated[str | None, Parameter(help="Model to ask; the first one if left out.")] = None,
    system: Annotated[str | None, Parameter(help="A system message before the question.")] = None,
    max_tokens: Annotated[int | None, Parameter(help="Longest answer, in tokens.")] = None,
    temperature: Annotated[
        float, Parameter(help="Chance in the choice of words; 0 takes the likeliest each time.")
    ] = 0.0,
    base_url: Annotated[str | None, Parameter(help="Another server than the local one.")] = None,
    api_key: Annotated[
        str | None, Parameter(help="Key to use; a short-lived one if local.")
    ] = None,
    data_dir: Annotated[str | None, Parameter(help="Folder of the server's data.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print JSON at the end.")] = False,
) -> None:
    """Stream an answer from the running server, then say what it took."""
    settings = settings_for(
        None, server={"data_dir": data_dir}, client={"base_url": base_url, "api_key": api_key}
    )
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    body: dict[str, Any] = {"messages": messages, "stream": True, "temperature": temperature}
    body["stream_options"] = {"include_usage": True}
    if max_tokens is not None:
        body["max_completion_tokens"] = max_tokens
    try:
        asyncio.run(_ask(settings, model, body, json=json))
    except TransportFailed as failed:
        stop(Exit.FAILED, f"the server did not answer: {failed.detail}", fix="`portico serve`")


async def _ask(settings: Settings, model: str | None, body: dict[str, Any], *, json: bool) -> None:
    async with running(settings, "portico ask") as server:
        transport = NativeTransport()
        try:
            body["model"] = model or await _first_model(transport, server)
            heard = await _listen(transport, server, body, shown=not json)
        finally:
            await transport.close()
    _report(heard, body["model"], json=json)


async def _first_model(transport: NativeTransport, server: Server) -> str:
    target = f"{server.base_path}/v1/models"
    call = Call(server.origin, "GET", target, server.headers, b"", server.deadlines)
    answer = await transport.send(call)
    listed = await _decoded(answer)
    if not listed["data"]:
        stop(Exit.FAILED, "the server serves no model.", fix="`portico model add`, or --model FILE")
    return str(listed["data"][0]["id"])


async def _listen(
    transport: NativeTransport, server: Server, body: dict[str, Any], *, shown: bool
) -> Heard:
    heard = Heard(time.monotonic())
    call = Call(
        server.origin,
        "POST",
        server.chat_target,
        server.headers,
        msgspec.json.encode(body),
        server.deadlines,
    )
    answer = await transport.send(call)
    if answer.status != 200:
        await _decoded(answer)
    pending = b""
    try:
        while data := await answer.next():
            *events, pending = (pending + data).split(b"\n\n")
            for event in events:
                _hear(heard, event, shown=shown)
    finally:
        answer.close()
    heard.ended_s = time.monotonic()
    return heard


async def _decoded(answer: Answer) -> Any:
    """The body of a 200; anything else ends the command with what the server said."""
    found = msgspec.json.decode(await answer.read(_BODY_BYTES_MAX))
    if answer.status != 200:
        stop(Exit.FAILED, found["error"]["message"])
    return found


def _hear(heard: Heard, event: bytes, *, shown: bool) -> None:
    data = event.removeprefix(b"data: ")
    if data in (event, b"[DONE]"):  # a comment (a ping, what it costs), or the end
        return
    chunk = msgspec.json.decode(data)
    if "error" in chunk:
        stop(Exit.FAILED, chunk["error"]["message"])
    if chunk.get("usage"):
        heard.input_tokens = chunk["usage"]["prompt_tokens"]
        heard.output_tokens = chunk["usage"]["completion_tokens"]
    for choice in chunk["choices"]:
        text = choice["delta"].get("content") or ""
        if text and heard.first_s is None:
            heard.first_s = time.monotonic()
        heard.text += text
        if shown:
            console.print(text, end="", markup=False)


def _report(heard: Heard, model: str, *, json: bool) -> None:
    first_ms = round(((heard.first_s or heard.ended_s) - heard.asked_s) * 1000)
    # Over the whole wait: several tokens come with the first one, and would look made in no time.
    tokens_per_s = round(heard.output_tokens / (heard.ended_s - heard.asked_s))
    if json:
        say_json(
            {
                "model": model,
                "text": heard.text,
                "input_tokens": heard.input_tokens,
                "output_tokens": heard.output_tokens,
                "first_token_ms": first_ms,
                "tokens_per_s": tokens_per_s,
            }
        )
        return
    console.print()
    errors.print(
        f"{model}: {heard.input_tokens} tokens in, {heard.output_tokens} out · first token "
        f"{first_ms} ms · {tokens_per_s} tokens/s",
        style="dim",
        markup=False,
    )

"""Requests that are much work for how small they are: how long do others wait meanwhile?

    uv run python -m bench.edge.stalls [--values 309900] [--core N] [--json]

One caller with a valid key sends bodies with as many values as are let through, in many shapes, in all
dialects, one after the other.  Beside them somebody asks for `/healthz` all the time.  One event loop
serves both, so that what takes one of them long makes the other wait.

On a busy machine, `--core` keeps one for the server and the next for this program, before all others'
work where the system allows it.

What must hold: nobody waits for more than a second, and no answer is a 5xx.
"""

import argparse
import json
import os
import secrets
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.edge.place import Place, put_first, serving
from bench.edge.talk import answers, ask
from portico.dialects.body import VALUES_MAX

WAITED_S_MAX = 1.0
_PAUSE_S = 0.01
_CHAT, _RESPONSES, _MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
_GEMINI = "/v1beta/models/sim-echo:generateContent"
_SAYS = {"role": "user", "content": "x"}
_TEXT_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Stall:
    """waited_s: the longest that `/healthz` was waited for."""

    name: str
    body_bytes: int
    status: int
    took_s: float
    waited_s: float

    @property
    def holds(self) -> bool:
        return self.waited_s <= WAITED_S_MAX and 200 <= self.status < 500


def shapes(values: int) -> Iterator[Shape]:
    """values: about so many JSON values in each."""
    seal = f"pt1.{urlsafe_b64encode(secrets.token_bytes(40)).decode()}"
    yield from _of_chat(values)
    yield from _of_responses(values, seal)
    yield from _of_messages(values, seal)
    yield from _of_gemini(values, seal)


def _shape(name: str, path: str, **fields: Any) -> Shape:
    model = {} if path == _GEMINI else {"model": "sim-echo"}
    return Shape(name, path, json.dumps({**model, **fields}).encode())


def _of_chat(values: int) -> Iterator[Shape]:
    some, few = values // 3, values // 10
    text = {"type": "text", "text": "x"}
    yield _shape("chat: messages", _CHAT, messages=[_SAYS] * some)
    yield _shape("chat: parts", _CHAT, messages=[{"role": "user", "content": [text] * some}])
    yield _shape("chat: text", _CHAT, messages=[{"role": "user", "content": "a" * _TEXT_BYTES}])
    yield _shape("chat: half a text", _CHAT, messages=[{"role": "user", "content": "é" * 700_000}])
    unknown = {f"unknown_{number}": 1 for number in range(values)}
    yield _shape("chat: unknown fields", _CHAT, messages=[_SAYS], **unknown)
    bias = {str(number): 1 for number in range(values)}
    yield _shape("chat: logit_bias", _CHAT, messages=[_SAYS], logit_bias=bias)
    tools = [{"type": "function", "function": _tool(n, "parameters")} for n in range(few)]
    yield _shape("chat: tools", _CHAT, messages=[_SAYS], tools=tools)
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in range(few)
    ]
    told = [{"role": "tool", "tool_call_id": f"c{n}", "content": "r"} for n in range(few)]
    said = [_SAYS, {"role": "assistant", "tool_calls": calls}, *told]
    yield _shape("chat: tool calls", _CHAT, messages=said)
    for name, schema in (
        ("wide", {f"p{n}": {"type": "string"} for n in range(some)}),
        ("of references", {"a": {"anyOf": [{"$ref": "#"}] * some}}),
    ):
        asked = {"name": "x", "schema": {"type": "object", "properties": schema}, "strict": True}
        form = {"type": "json_schema", "json_schema": asked}
        yield _shape(f"chat: a schema {name}", _CHAT, messages=[_SAYS], response_format=form)
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    files = [{"role": "user", "content": [url] * few}]
    yield _shape("chat: pictures that are none", _CHAT, messages=files)


def _of_responses(values: int, seal: str) -> Iterator[Shape]:
    some, few = values // 3, values // 10
    yield _shape("responses: items", _RESPONSES, input=[_SAYS] * some)
    for name, sealed in (("foreign", "gAAA"), ("ours, forged", seal)):
        thought = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": sealed}
        said = [*[thought] * (values // 5), _SAYS]
        yield _shape(f"responses: sealed items, {name}", _RESPONSES, input=said)
    pairs = [
        each
        for n in range(few)
        for each in (
            {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": f"c{n}", "output": "r"},
        )
    ]
    yield _shape("responses: calls", _RESPONSES, input=[*pairs, _SAYS])
    cut = {"input": [{"role": "user", "content": "word " * 100}] * some, "truncation": "auto"}
    yield _shape("responses: truncated", _RESPONSES, **cut)
    yield _shape("responses: compacted", f"{_RESPONSES}/compact", input=[_SAYS] * some)


def _of_messages(values: int, seal: str) -> Iterator[Shape]:
    few = values // 10
    turns = [_SAYS, {"role": "assistant", "content": "y"}] * (values // 6)
    yield _shape("messages: turns", _MESSAGES, max_tokens=1, messages=[*turns, _SAYS])
    thought = {"type": "thinking", "thinking": "t", "signature": seal}
    thinks = [_SAYS, {"role": "assistant", "content": [thought] * (values // 4)}, _SAYS]
    yield _shape("messages: thoughts", _MESSAGES, max_tokens=1, messages=thinks)
    tools = [_tool(number, "input_schema") for number in range(few)]
    yield _shape("messages: tools", _MESSAGES, max_tokens=1, messages=[_SAYS], tools=tools)
    uses = [{"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n in range(few)]
    gave = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "r"} for n in range(few)]
    said = [_SAYS, {"role": "assistant", "content": uses}, {"role": "user", "content": gave}]
    yield _shape("messages: tool uses", _MESSAGES, max_tokens=1, messages=said)


def _of_gemini(values: int, seal: str) -> Iterator[Shape]:
    few = values // 10
    says = {"role": "user", "parts": [{"text": "x"}]}
    parts = [{"role": "user", "parts": [{"text": "x"}] * (values // 2)}]
    yield _shape("gemini: parts", _GEMINI, contents=parts)
    calls = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}] * few}
    given = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}] * few}
    yield _shape("gemini: calls", _GEMINI, contents=[says, calls, given])
    thought = {"text": "t", "thought": True, "thoughtSignature": seal}
    thinks = {"role": "model", "parts": [thought] * (values // 4)}
    yield _shape("gemini: thoughts", _GEMINI, contents=[says, thinks, says])
    snake = {f"unknown_field_{number}": 1 for number in range(values)}
    yield _shape("gemini: snakes", _GEMINI, contents=[says], **snake)


def _tool(number: int, schema: str) -> dict[str, Any]:
    fields = {f"p{each}": {"type": "string"} for each in range(2)}
    return {"name": f"f{number}", schema: {"type": "object", "properties": fields}}


class Bystander:
    """Asks for `/healthz`, one connection each time, until it is told to stop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.waited_s = 0.0
        self._thread.start()

    def _run(self) -> None:
        request = b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        while not self._ended.wait(_PAUSE_S):
            began_s = time.perf_counter()
            ask(self._place.host, self._place.port, request)
            self.waited_s = max(self.waited_s, time.perf_counter() - began_s)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def tried(place: Place, bystander: Bystander, shape: Shape) -> Stall:
    head = (
        f"POST {shape.path} HTTP/1.1\r\nHost: bench\r\n{place.authorization}\r\n"
        f"Content-Length: {len(shape.body)}\r\nConnection: close\r\n\r\n"
    )
    bystander.waited_s = 0.0
    began_s = time.perf_counter()
    said = ask(place.host, place.port, head.encode() + shape.body)
    took_s = time.perf_counter() - began_s
    time.sleep(10 * _PAUSE_S)  # whoever waited is heard
    (heard,) = answers(said)
    return Stall(
        shape.name,
        len(shape.body),
        heard.status,
        round(took_s, 2),
        round(bystander.waited_s, 2),
    )


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--values", type=int, default=VALUES_MAX - 100, help="JSON values in a body, about"
    )
    options.add_argument("--core", type=int, help="the server's; left out: any")
    options.add_argument("--json", action="store_true", help="one line for each shape")
    given = options.parse_args()
    held = True
    with serving(core=given.core) as place:
        if given.core is not None:
            put_first(os.getpid(), given.core + 1)
        bystander = Bystander(place)
        try:
            for shape in shapes(given.values):
                found = tried(place, bystander, shape)
                held &= found.holds
                print(json.dumps(asdict(found)) if given.json else _line(found), flush=True)
        finally:
            bystander.end()
    return 0 if held else 1


def _line(found: Stall) -> str:
    return (
        f"{found.name:34} {found.body_bytes:>10,} bytes  {found.status}  took {found.took_s:5.2f} s  "
        f"others waited {found.waited_s:5.2f} s{'' if found.holds else '  TOO LONG'}"
    )


if __name__ == "__main__":
    sys.exit(main())

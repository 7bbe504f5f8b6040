"""Words that occur nowhere else, sent everywhere a caller can put content, and looked for afterwards
in everything that a server leaves behind."""

import json
import re
import secrets
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ECHO = "sim-echo"
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
GEMINI = "/v1beta/models"
FAILING = ("up-refuses", "up-breaks", "up-garbage", "up-cut")


def new_canary() -> str:
    """One token of the simulated engine, so that no stream cuts it in two."""
    return f"zq{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Sent:
    """A request.  canary: what it holds.  hang_up: after the first bytes of its answer."""

    path: str
    fields: dict[str, Any]
    canary: str
    headers: tuple[str, ...] = ()
    hang_up: bool = False

    @property
    def keyed(self) -> bool:
        return any(each.startswith("Idempotency-Key") for each in self.headers)

    @property
    def stays(self) -> bool:
        """Is its answer kept where that may be?"""
        return self.keyed or self.path == RESPONSES

    @property
    def body(self) -> bytes:
        return json.dumps(self.fields).encode()


def corpus() -> list[Sent]:
    """Four dialects, each whole and streamed, with and without a key of replay; and all that goes
    wrong.  Each holds a canary of its own."""
    sent: list[Sent] = []
    for keyed in (False, True):
        for stream in (False, True):
            sent += [_named(each, keyed=keyed) for each in _dialects(stream=stream)]
    sent += [_named(each, keyed=True) for each in _media()]
    return [*sent, *_going_wrong()]


def _named(sent: Sent, *, keyed: bool) -> Sent:
    named = (f"Idempotency-Key: {secrets.token_hex(8)}",) if keyed else ()
    # One token a delta would be one event each: the whole canary is in one either way.
    return Sent(sent.path, sent.fields, sent.canary, (*named, "x-portico-sim: chunk=50"))


def _dialects(*, stream: bool) -> Iterator[Sent]:
    text = new_canary()
    yield Sent(CHAT, {**chat(text), "stream": stream}, text)
    text = new_canary()
    yield Sent(RESPONSES, {"model": ECHO, "input": said(text), "stream": stream}, text)
    text = new_canary()
    kept = {"model": ECHO, "input": said(text), "stream": stream, "store": True}
    yield Sent(RESPONSES, kept, text)
    text = new_canary()
    yield Sent(MESSAGES, {**chat(text), "max_tokens": 50, "stream": stream}, text)
    text = new_canary()
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    contents = [{"role": "user", "parts": [{"text": said(text)}]}]
    yield Sent(f"{GEMINI}/{ECHO}:{verb}", {"contents": contents}, text)
    text = new_canary()
    yield Sent(CHAT, {**_calling(text), "stream": stream}, text)


def said(canary: str) -> str:
    return f"Please say {canary} again"


def chat(canary: str, model: str = ECHO) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": said(canary)}]}


def _calling(canary: str) -> dict[str, Any]:
    """A tool's name and description, what it is called with, and what it said before."""
    tool = {
        "type": "function",
        "function": {
            "name": f"tool_{canary}",
            "description": said(canary),
            "parameters": {"type": "object", "properties": {canary: {"const": canary}}},
        },
    }
    call = {
        "id": f"call_{canary}",
        "type": "function",
        "function": {"name": f"tool_{canary}", "arguments": json.dumps({canary: canary})},
    }
    return {
        "model": "sim-tool",
        "tools": [tool],
        "tool_choice": "required",
        "user": canary,
        "safety_identifier": canary,
        "metadata": {"note": canary},
        "messages": [
            {"role": "system", "content": said(canary)},
            {"role": "user", "content": said(canary)},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{canary}", "content": said(canary)},
            {"role": "user", "content": said(canary)},
        ],
    }


def _media() -> Iterator[Sent]:
    """A picture with words in it, and one that is none."""
    for picture in (picture_with(text := new_canary()), b"\x89PNG\r\n\x1a\n" + text.encode() * 9):
        url = f"data:image/png;base64,{b64encode(picture).decode()}"
        content = [
            {"type": "text", "text": said(text)},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        yield Sent(CHAT, {"model": ECHO, "messages": [{"role": "user", "content": content}]}, text)


def picture_with(canary: str) -> bytes:
    """A PNG of one pixel, and a comment."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
        + chunk(b"tEXt", b"Comment\0" + canary.encode() * 9)
        + chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))
        + chunk(b"IEND", b"")
    )


def _going_wrong() -> Iterator[Sent]:
    for fields in (
        {"model": f"m-{(text := new_canary())}", "messages": [{"role": "user", "content": text}]},
        {**chat(text := new_canary()), "temperature": text},
        {**chat(text := new_canary()), "messages": text},
        {**chat(text := new_canary()), f"field_{text}": text},
        {**chat(text := new_canary()), "max_tokens": 10**9},
        chat(text := new_canary(), "sim-error"),
        {**chat(text := new_canary(), "sim-error"), "stream": True},
        chat(text := new_canary(), "sim-cut"),
        {**chat(text := new_canary(), "sim-cut"), "stream": True},
        chat(text := new_canary(), "sim-malformed"),
    ):
        yield Sent(CHAT, fields, text, (f"Idempotency-Key: {secrets.token_hex(8)}",))
    for model in FAILING:
        for stream in (False, True):
            text = new_canary()
            key = f"Idempotency-Key: {secrets.token_hex(8)}"
            yield Sent(CHAT, {**chat(text, model), "stream": stream}, text, (key,))
    for model in ("sim-slow", "sim-stall"):
        text = new_canary()
        slow = {**chat(text, model), "stream": True}
        key = f"Idempotency-Key: {secrets.token_hex(8)}"
        yield Sent(CHAT, slow, text, (key, "x-portico-sim: first_ms=0"), hang_up=True)


class Upstream(ThreadingHTTPServer):
    """An engine that fails in each of its models, and repeats what it was asked while it does."""

    daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def failing_upstream() -> Iterator[Upstream]:
    with Upstream(("127.0.0.1", 0), _Failing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Failing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        listed = [{"id": model, "object": "model"} for model in FAILING]
        known = self.path == "/v1/models"
        self._say(200 if known else 404, "application/json", json.dumps({"data": listed}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model = json.loads(body)["model"]
        words = json.dumps(body.decode())
        if model == "up-refuses":
            error = f'{{"error": {{"message": {words}, "type": "invalid_request_error"}}}}'
            self._say(400, "application/json", error.encode())
        elif model == "up-breaks":
            self._say(500, "text/plain", body)
        elif model == "up-garbage":
            self._say(200, "text/event-stream", b"data: {" + body + b"\n\ndata: [DONE]\n\n")
        else:
            self._say(200, "text/event-stream", b'data: {"choices": [{"delta": ' + body, cut=True)

    def _say(self, status: int, kind: str, body: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + 1_000 * cut))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = cut

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def forms(canary: str) -> list[bytes]:
    """How it would look: as it is, as hexadecimal, in UTF-16, in base64 from any byte on."""
    plain = canary.encode()
    found = [plain, plain.upper(), plain.hex().encode(), canary.encode("utf-16-le")]
    for offset in range(3):
        # Without the characters that its neighbours share.
        whole = b64encode(b"\0" * offset + plain)
        found.append(whole[4 if offset else 0 : (offset + len(plain)) // 3 * 4])
    return found


def hits(canaries: list[str], *folders: Path) -> dict[str, set[str]]:
    """Canaries by the file they are in."""
    by_form = {form: each for each in canaries for form in forms(each)}
    patterns = [_pattern(alike) for alike in zip(*map(forms, canaries), strict=True)]
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            content = content_of(path)
            there = {by_form.get(each) for one in patterns for each in _matches(one, content)}
            if there - {None}:
                found[str(path.relative_to(folder))] = {each for each in there if each}
    return found


def _pattern(alike: tuple[bytes, ...]) -> "re.Pattern[bytes]":
    """What may be one of these: looked for at once, as a database writes much."""
    places = (bytes(sorted(set(place))) for place in zip(*alike, strict=True))
    return re.compile(b"".join(b"[%b]" % re.escape(each) for each in places))


def _matches(pattern: "re.Pattern[bytes]", content: bytes) -> Iterator[bytes]:
    """Those that overlap, too."""
    at = 0
    while (found := pattern.search(content, at)) is not None:
        yield found.group()
        at = found.start() + 1


def content_of(path: Path) -> bytes:
    """b"" of what is no file, or is none any more: a database tidies up while it is looked at."""
    try:
        if path.is_file():
            # Most of what a database reserves is empty.
            return path.read_bytes().replace(b"\0" * 256, b"")
    except FileNotFoundError:
        pass
    return b""

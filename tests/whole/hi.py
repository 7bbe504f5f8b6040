"""A server behind that speaks Chat and says Hi, whatever it is asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
_START = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class Hi(ThreadingHTTPServer):
    """listed: of its models.  page: of its metrics.  asked: bodies of requests to generate."""

    daemon_threads = True

    def __init__(self, listed: list[dict[str, Any]], page: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.pages = {"/v1/models": json.dumps({"data": listed}).encode(), "/metrics": page}
        self.asked: list[dict[str, Any]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def saying_hi(*listed: dict[str, Any], page: bytes = b"") -> Iterator[Hi]:
    with Hi(list(listed), page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Answering(BaseHTTPRequestHandler):
    server: Hi

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path)
        self._say(404 if page is None else 200, "application/json", page or b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        if body.get("stream"):
            self._say(200, "text/event-stream", _stream())
        else:
            self._say(200, "application/json", _whole())

    def _say(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def _stream() -> bytes:
    said = [({"role": "assistant", "content": "Hi"}, None), ({}, "stop")]
    chunks: list[dict[str, Any]] = [
        {**_START, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in said
    ]
    chunks.append({**_START, "choices": [], "usage": _USAGE})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return f"{events}data: [DONE]\n\n".encode()


def _whole() -> bytes:
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {**_START, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return json.dumps(whole).encode()

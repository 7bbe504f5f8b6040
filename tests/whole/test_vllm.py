"""A server behind that is like vLLM: its adapters, its cache, its load."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.whole.conftest import Served
from tests.whole.wire import ask, eventually, get

LISTED = {
    "data": [
        {"id": "base", "owned_by": "vllm", "max_model_len": 4_096, "parent": None},
        {"id": "sql", "owned_by": "vllm", "parent": "base"},
    ]
}
LOAD = b'vllm:num_requests_running{engine="0"} 3.0\nvllm:kv_cache_usage_perc{engine="0"} 0.5\n'
HELLO = [{"role": "user", "content": "Hello"}]


class VLLM(ThreadingHTTPServer):
    """asked: bodies of requests to generate."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[dict[str, Any]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Answering(BaseHTTPRequestHandler):
    server: VLLM

    def do_GET(self) -> None:
        pages = {"/v1/models": json.dumps(LISTED).encode(), "/metrics": LOAD}
        self._say(200 if self.path in pages else 404, "application/json", pages.get(self.path, b""))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        start = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        said = [{"role": "assistant", "content": "Hi"}, {}]
        ends = [None, "stop"]
        chunks = [
            {**start, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
            for delta, end in zip(said, ends, strict=True)
        ]
        chunks.append({**start, "choices": [], "usage": usage})
        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        self._say(200, "text/event-stream", f"{events}data: [DONE]\n\n".encode())

    def _say(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def vllm() -> Iterator[VLLM]:
    with VLLM() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_adapters_salt_and_load(serve: Callable[..., Served], vllm: VLLM, tmp_path: Path) -> None:
    env = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_UPSTREAM_LOAD_EVERY_S": "0.1"}
    front = serve("--upstream", vllm.base_url, data_dir=tmp_path / "data", env=env)

    listed = {model["id"] for model in json.loads(get(front, "/v1/models")[2])["data"]}
    assert listed == {"base", "base:sql"}

    for model in ("base", "base:sql"):
        status, headers, _ = ask(
            front, model=model, messages=HELLO, stream=True, cache_salt="mine", priority=-1
        )
        assert status == 200
        assert headers["portico-warnings"] == (
            'not_supported; field="cache_salt"; action=dropped, '
            'not_supported; field="priority"; action=dropped'
        )
    base, adapter = vllm.asked[-2:]
    assert (base["model"], adapter["model"]) == ("base", "sql")
    assert re.fullmatch(r"[0-9a-f]{64}", base["cache_salt"])
    assert base["cache_salt"] != adapter["cache_salt"], "a model's own"
    assert "priority" not in base
    ask(front, model="base", messages=HELLO, stream=True)
    assert vllm.asked[-1]["cache_salt"] == base["cache_salt"], "the same for the same tenant"

    def page() -> str:
        return get(front, "/metrics")[2].decode()

    eventually(lambda: "portico_engine_requests_running" in page())
    assert re.search(r'requests_running{deployment="upstream-1",model="base:sql"} 3.0', page())
    assert re.search(r'kv_cache_used_ratio{deployment="upstream-1",model="base"} 0.5', page())
    assert "portico_engine_requests_waiting{" not in page(), "it does not say"

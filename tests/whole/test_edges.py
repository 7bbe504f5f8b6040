"""Traps that every dialect could fall into at the door: one server, each dialect asked."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.whole.conftest import Served, end, start
from tests.whole.hi import saying_hi
from tests.whole.wire import END, Wire, get

SAID = [{"role": "user", "content": "Hello"}]
GEMINI: dict[str, Any] = {"contents": [{"parts": [{"text": "Hello"}]}]}
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": SAID, "stream": True}),
    "completions": ("/v1/completions", {"prompt": "Hello", "stream": True}),
    "responses": ("/v1/responses", {"input": "Hello", "store": False, "stream": True}),
    "messages": ("/v1/messages", {"messages": SAID, "max_tokens": 9, "stream": True}),
    "gemini": ("/v1beta/models/sim-echo:streamGenerateContent?alt=sse", GEMINI),
    "gemini, an array": ("/v1beta/models/sim-echo:streamGenerateContent", GEMINI),
}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Before an engine whose answers say how long they are."""
    env = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_DRAIN_S": "0"}
    with saying_hi({"id": "m", "owned_by": "somebody"}) as behind:
        data = tmp_path_factory.mktemp("front") / "data"
        running = start(data, "--upstream", behind.base_url, env=env)
        yield running
        end(running)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/chat/completions", {"messages": SAID}),
        ("/v1/responses", {"input": "Hello", "store": False, "made_up": 1}),
        ("/v1/messages", {"messages": SAID, "max_tokens": 9, "made_up": 1}),
    ],
)
def test_edge_16_an_answer_that_was_changed_says_its_own_length(
    front: Served, path: str, said: dict[str, Any]
) -> None:
    """Not that of the upstream's answer: nothing is cut off, and nothing is left for the next one."""
    wire = Wire(front)
    for _ in range(2):
        status, headers, body = wire.post(
            path, json.dumps({"model": "m", **said}).encode()
        ).answer()
        assert status == 200
        assert len(body) == int(headers["content-length"])
        assert json.loads(body)["model"] == "m"
    wire.hang_up()


@pytest.mark.parametrize("dialect", list(STREAMS))
def test_edge_17_no_proxy_is_to_collect_a_stream(served: Served, dialect: str) -> None:
    path, said = STREAMS[dialect]
    wire = Wire(served)
    head, _, rest = (
        wire.post(path, json.dumps({"model": "sim-echo", **said}).encode())
        .read_until(END)
        .partition(b"\r\n\r\n")
    )
    lines = head.lower().split(b"\r\n")
    assert b"x-accel-buffering: no" in lines
    assert b"transfer-encoding: chunked" in lines
    assert not any(line.startswith(b"content-length") for line in lines)
    assert rest
    wire.hang_up()


@pytest.mark.parametrize("path", ["/", "/health", "/healthz", "/readyz"])
def test_edge_28_probes_are_answered_without_a_key(served: Served, path: str) -> None:
    """Agents ask for the head of `/` before anything else."""
    wire = Wire(served)
    wire.socket.sendall(f"HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert wire.received.endswith(b"\r\n\r\n"), "a head, and nothing behind it"
    wire.hang_up()
    status, _, body = get(served, path, key="")
    assert (status, bool(body)) == (200, True)


def test_edge_28_the_list_of_models_is_refused_in_shape_without_a_key(served: Served) -> None:
    status, headers, body = get(served, "/v1/models", key="")
    assert (status, headers["content-type"]) == (401, "application/json")
    assert json.loads(body)["error"]["code"] == "missing_api_key"

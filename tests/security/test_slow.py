"""Clients that take their time are cut off by limits with names, and nobody else waits for them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from select import poll
from socket import SO_RCVBUF, SOL_SOCKET, socket

import pytest

from bench.edge.talk import answers
from tests.security.socketry import authorization
from tests.whole.conftest import Served, end, start
from tests.whole.wire import ask, question

SOCKETS = 60
"""Of each kind; `bench/edge/slow_sockets.py` takes thousands."""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(
        tmp_path_factory.mktemp("hasty") / "data",
        "--simulated",
        env={
            "PORTICO_ENGINE_ENABLED": "false",
            "PORTICO_EDGE_HEADER_READ_S": "0.5",
            "PORTICO_EDGE_BODY_GRACE_S": "0.5",
            "PORTICO_EDGE_WRITE_IDLE_S": "0.5",
        },
    )
    yield running
    end(running)


def opened(served: Served, sent: bytes, *, takes_bytes: int | None = None) -> socket:
    """takes_bytes: of what comes and is not read; what the kernel likes if left out."""
    wire = socket()
    wire.settimeout(30)
    if takes_bytes is not None:
        wire.setsockopt(SOL_SOCKET, SO_RCVBUF, takes_bytes)
    wire.connect(served.host_port)
    wire.sendall(sent)
    return wire


def heard(wire: socket) -> bytes:
    """Everything up to the end, which the server has to bring about."""
    said = b""
    try:
        while data := wire.recv(65_536):
            said += data
    except ConnectionResetError:
        pass
    finally:
        wire.close()
    return said


def good(served: Served) -> int:
    return ask(served, model="sim-echo", messages=question("hello"), max_tokens=4)[0]


def test_slow_heads_and_bodies_are_cut_off_and_the_good_are_served(hasty: Served) -> None:
    head = b"GET / HTTP/1.1\r\nHost: slow\r\nX: "
    body = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: slow\r\n{authorization(hasty)}\r\n"
        "Content-Length: 100000\r\n\r\n{"
    ).encode()
    heads = [opened(hasty, head) for _ in range(SOCKETS)]
    bodies = [opened(hasty, body) for _ in range(SOCKETS)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: good(hasty), range(40))) == [200] * 40
    assert {heard(wire) for wire in heads} == {b""}
    for wire in bodies:
        (answer,) = answers(heard(wire))
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (408, "body_timeout")


def test_those_who_do_not_read_are_cut_off_and_the_good_are_served(hasty: Served) -> None:
    told = question("[[sim tokens=40000 delay_ms=0]]")
    body = json.dumps({"model": "sim-lorem", "messages": told, "stream": True}).encode()
    lines = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: slow\r\n{authorization(hasty)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    wires = [opened(hasty, lines.encode() + body, takes_bytes=4_096) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: good(hasty), range(40))) == [200] * 40
    for wire in wires:
        cut_off = poll()
        cut_off.register(wire, 0)  # errors and hang-ups are told in any case
        assert cut_off.poll(30_000), "it waits for a client that does not read"
        assert not heard(wire).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert good(hasty) == 200

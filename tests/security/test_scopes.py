"""Every route of the API x a key of every scope: what its scope does not open, stays shut.

Which scope a route needs is said here once more, by hand.  (The admin API: tests/admin/test_matrix.py.)
"""

import json
import re

import pytest

from portico.callers.scopes import KEY_SCOPES
from tests.security.test_incidents import sent
from tests.whole.conftest import Served
from tests.whole.wire import Wire, get

NEEDS = (
    (r"GET /v1(alpha|beta)?/models(/\{id\})?", "models:read"),
    (r"GET /v1/usage", "usage:read"),
    (r"GET /v1/(balance|limits|prices)", "balance:read"),
    (r"POST /v1/ephemeral_keys", "ephemeral:create"),
    (r"\w+ /v1/(files|uploads)(/.*)?", "files"),
    (r"\w+ /v1/((messages/)?batches|\w+/batches)(/.*)?", "batches"),
    (r"\w+ /v1/(responses/\{id\}|conversations)(/.*)?", "responses"),
    (r"POST /v1/moderations", "generate"),
    (r"POST /v1/embeddings", "embed"),
    (r"POST /v1/preflight/(embeddings|models/\{id\}:(embedContent|batchEmbedContents))", "embed"),
    (r"POST /v1(alpha|beta)?/models/\{id\}:(embedContent|batchEmbedContents)", "embed"),
    (r"POST /v1/(chat/)?completions", "generate"),
    (r"POST /v1/(responses|messages)(/\w+)?|GET /v1/responses", "generate"),
    (r"POST /v1(alpha|beta)?/models/\{id\}:(\w*[gG]enerateContent|countTokens)", "generate"),
    (r"POST /v1/preflight.*", "generate"),
    (r"\w+ /v1/(files|uploads)(/.*)?", "files"),
)
"""The first that fits counts.  A route that none fits is one that nobody thought of."""
SOCKETS = {"GET /v1/responses"}
"""Asked for with the words that turn a connection into a WebSocket."""
OPEN = {
    *("GET /", "GET /healthz", "GET /health", "GET /readyz", "GET /metrics", "GET /openapi.json"),
    *("POST /invitations/accept", "POST /security/leaked-keys", "GET /security/key-pattern"),
}


@pytest.fixture(scope="module")
def routes(guarded: Served) -> dict[str, str]:
    """By method and path, the scope; "" for what asks for no key."""
    told = json.loads(get(guarded, "/openapi.json")[2])["paths"]
    names = [f"{method.upper()} {path}" for path, ways in told.items() for method in ways]
    return {name: "" if name in OPEN else needed(name) for name in names}


def needed(name: str) -> str:
    for pattern, scope in NEEDS:
        if re.fullmatch(pattern, name):
            return scope
    raise AssertionError(f"{name}: say in this file which scope it needs")


def asked(served: Served, name: str, key: str) -> int:
    method, _, path = name.partition(" ")
    lines = [f"Authorization: Bearer {key}"] if key else []
    if name in SOCKETS:
        return opened(served, path, lines)
    body: dict[str, str] | None = {} if method in ("POST", "PUT", "PATCH") else None
    return sent(served, method, path.replace("{id}", "sim-echo"), *lines, body=body).status


def opened(served: Served, path: str, lines: list[str]) -> int:
    wire = Wire(served)
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    head = [
        f"GET {path} HTTP/1.1",
        "Host: test",
        *upgrade,
        f"Sec-WebSocket-Key: {'A' * 22}==",
        *lines,
    ]
    wire.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
    status = int(wire.read_until(b"\r\n\r\n").split()[1])
    wire.hang_up()
    return status


def test_without_a_key_only_what_is_open(guarded: Served, routes: dict[str, str]) -> None:
    shut = {name: asked(guarded, name, "") for name, scope in routes.items() if scope}
    assert {name: status for name, status in shut.items() if status != 401} == {}
    assert len(shut) > 40


@pytest.mark.parametrize("held", sorted(KEY_SCOPES))
def test_a_key_opens_what_its_scope_says(
    guarded: Served, routes: dict[str, str], held: str
) -> None:
    key = guarded.cli("key", "create", "--name", held, "--scopes", held)["api_key"]
    wrong = []
    for name, scope in routes.items():
        if not scope:
            continue
        status = asked(guarded, name, key)
        if (status in (401, 403)) == (scope == held) or (scope != held and status != 403):
            wrong.append((name, scope, status))
    assert wrong == []

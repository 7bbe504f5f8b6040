"""The admin API as it is served: where, and to whom."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portico.admin.desk import Desk
from portico.admin.routes import routes
from portico.callers.rules import new_key
from tests.door.test_openapi import DOCUMENT
from tests.whole.conftest import Served, portico

NOBODY: Any = None
DESK = Desk(*([NOBODY] * 7), keep_ms=1, compression=True)
NAMES = [(route.method, route.name) for route in routes(DESK, "0")]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def status(url: str, key: str) -> int:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found: int = answer.status
            return found
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_it_has_a_port_of_its_own_where_that_is_set(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    port = free_port()
    served = serve(env={"PORTICO_ADMIN_PORT": str(port)})
    key = served.cli("admin-key", "create")["api_key"]
    at_api, own = served.base_url.removesuffix("/v1"), f"http://127.0.0.1:{port}"
    assert status(f"{own}/admin/v1/organisations", key) == 200
    assert status(f"{at_api}/admin/v1/organisations", key) == 404
    assert status(f"{own}/v1/models", served.api_key) == 404
    assert status(f"{at_api}/v1/models", served.api_key) == 200
    assert status(f"{at_api}/v1/models", key) == 401
    assert served.stop() == 0


def test_a_port_that_is_taken_stops_the_start_and_says_which(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = tmp_path / "portico.toml"
        config.write_text(f"[admin]\nport = {taken.getsockname()[1]}\n")
        done = portico("serve", "--port", "0", "--data-dir", str(tmp_path), "--config", str(config))
    assert done.returncode == 3
    assert "`admin.port`" in done.stderr


def test_it_is_nowhere_where_it_is_turned_off(serve: Callable[..., Served]) -> None:
    served = serve(env={"PORTICO_ADMIN_ENABLED": "false"})
    key = served.cli("admin-key", "create")["api_key"]
    root = served.base_url.removesuffix("/v1")
    for path in ("organisations", "openapi.json"):
        assert status(f"{root}/admin/v1/{path}", key) == 404


def test_it_describes_what_it_serves(served: Served) -> None:
    root = served.base_url.removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/admin/v1/openapi.json", timeout=30) as answer:
        document = json.load(answer)
    told = {(method.upper(), path) for path, ways in document["paths"].items() for method in ways}
    assert told == set(NAMES)


def refused(url: str, method: str, key: str) -> tuple[int, str]:
    asked = urllib.request.Request(
        url, b"{}" if method == "POST" else None, {"x-api-key": key}, method=method
    )
    with pytest.raises(urllib.error.HTTPError) as failed, urllib.request.urlopen(asked, timeout=30):
        pass
    with failed.value as answer:
        said = answer.read().decode()
        own = answer.headers.get("x-request-id") or answer.headers["request-id"]
    return failed.value.code, said.replace(own, "ID")


def test_an_admin_key_opens_nothing_of_the_api(served: Served) -> None:
    key = served.cli("admin-key", "create")["api_key"]
    root, closed = served.base_url.removesuffix("/v1"), 0
    for path, ways in DOCUMENT["paths"].items():
        for method, operation in ways.items():
            if operation.get("security") != []:
                closed += 1
                url = root + path.replace("{id}", "m")
                answer = refused(url, method.upper(), key)
                assert answer == refused(url, method.upper(), new_key("live")), path
                assert answer[0] == 401
    assert closed > 20


@pytest.mark.parametrize("query", ["?limit=%00", "?after=%ff%fe", "?after=" + "x" * 5_000, "?=&&"])
def test_no_list_fails_whatever_its_parameters(served: Served, query: str) -> None:
    key = served.cli("admin-key", "create")["api_key"]
    root = served.base_url.removesuffix("/v1")
    for method, name in NAMES:
        if method == "GET" and "{" not in name:
            assert status(f"{root}{name}{query}", key) < 500

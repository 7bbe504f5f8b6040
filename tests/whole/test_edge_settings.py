"""What operators set at the edge is what clients meet."""

import json
from collections.abc import Callable

from portico.app.door import edge_limits
from portico.settings import load
from tests.whole.conftest import Served
from tests.whole.wire import Wire, post

PAGE = "https://app.example"


def test_every_limit_of_the_door_can_be_set() -> None:
    wanted = {
        "body_bytes_per_s_min": 5_000,
        "body_grace_s": 1.5,
        "linger_s": 0.75,
        "header_read_s": 3.0,
    }
    limits = edge_limits(load(environment={}, flags={"edge": wanted}))
    assert {name: getattr(limits, name) for name in wanted} == wanted


def test_a_page_is_let_in_and_a_slow_body_is_refused_as_set(serve: Callable[..., Served]) -> None:
    served = serve(
        "--simulated",
        env={
            "PORTICO_ENGINE_ENABLED": "false",
            "PORTICO_EDGE_ORIGINS_ALLOWED": PAGE,
            "PORTICO_EDGE_BODY_BYTES_PER_S_MIN": "100000",
            "PORTICO_EDGE_BODY_GRACE_S": "0.2",
            "PORTICO_KEPT_BYTES_PER_PROJECT_MAX": "0",
        },
    )
    asked = "Access-Control-Request-Method: POST\r\n"
    for origin, status in ((PAGE, 204), ("https://other.example", 405)):
        wire = Wire(served)
        path = "/v1/chat/completions"
        wire.socket.sendall(
            f"OPTIONS {path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n{asked}\r\n".encode()
        )
        head = wire.read_until(b"\r\n\r\n").decode()
        assert head.split()[1] == str(status)
        assert (f"access-control-allow-origin: {PAGE}" in head) == (status == 204)
    wire = Wire(served)
    head = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {served.api_key}",
        "Content-Length: 1000000",
    ]
    wire.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n{")
    status, _, body = wire.answer()
    error = json.loads(body)["error"]
    assert (status, error["code"], error["limit"]) == (408, "body_timeout", 100_000)
    _check_that_nothing_is_kept(served)


def _check_that_nothing_is_kept(served: Served) -> None:
    """Where there is no room for it: what does not ask for that is answered."""
    asked = {"model": "sim-echo", "input": "Hello"}
    status, head, body = post(served, "/v1/responses", json.dumps(asked).encode())
    assert (status, json.loads(body)["store"]) == (200, False)
    warning = head["portico-warnings"]
    assert warning == 'storage_quota_exceeded; field="store"; action=dropped'
    for path, fields in (("responses", {**asked, "store": True}), ("conversations", {})):
        status, _, body = post(served, f"/v1/{path}", json.dumps(fields).encode())
        assert (status, json.loads(body)["error"]["code"]) == (403, "storage_quota_exceeded")

"""What stands on every answer, whoever gives it, and what never does."""

from collections.abc import Callable

import pytest

from bench.edge.talk import Heard, answers
from tests.security.socketry import authorization, said
from tests.whole.conftest import Served

WAYS = {
    "health": "GET /healthz",
    "models": "GET /v1/models",
    "the document": "GET /openapi.json",
    "metrics": "GET /metrics",
    "nothing there": "GET /v1/nothing",
    "another method": "DELETE /v1/models",
    "no head": "GET",
}


def one(served: Served, way: str, *lines: str) -> Heard:
    head = "\r\n".join([f"{way} HTTP/1.1", "Host: test", "Connection: close", *lines])
    (heard,) = answers(said(served, head.encode() + b"\r\n\r\n"))
    return heard


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("known", [True, False], ids=["with a key", "without"])
def test_every_answer_has_them(guarded: Served, way: str, known: bool) -> None:
    heard = one(guarded, WAYS[way], *([authorization(guarded)] if known else []))
    assert heard.headers["x-content-type-options"] == "nosniff"
    assert heard.headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in heard.headers
    for told in ("server", "x-powered-by", "via"):
        assert told not in heard.headers


@pytest.mark.parametrize("way", ["models", "nothing there", "another method", "no head"])
def test_no_cache_keeps_what_one_caller_is_told(guarded: Served, way: str) -> None:
    heard = one(guarded, WAYS[way], authorization(guarded))
    assert heard.headers["cache-control"] == "no-store"


def test_where_tls_ends_in_front_clients_are_told_to_come_by_it(
    serve: Callable[..., Served],
) -> None:
    served = serve(
        "--simulated", env={"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_HTTPS": "true"}
    )
    heard = one(served, "GET /healthz")
    assert heard.headers["strict-transport-security"] == "max-age=31536000"

"""Keys that are limited, replaced, made for minutes and taken away, at a served Portico."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.whole.conftest import FOLLOWS, Served, end, start
from tests.whole.wire import Wire, question

ENDLESS = {
    "model": "sim-slow",
    "messages": question("[[sim tokens=100000 delay_ms=50]]"),
    "stream": True,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(
        tmp_path_factory.mktemp("keys") / "data",
        "--simulated",
        env={**FOLLOWS, "PORTICO_ENGINE_ENABLED": "false"},
    )
    yield running
    end(running)


def make(served: Served, *words: str) -> dict[str, Any]:
    made: dict[str, Any] = served.cli("key", "create", "--name", "test", *words)
    return made


def ask(
    served: Served, key: str, path: str = "/v1/chat/completions", body: Any = None, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """A POST where there is a body, else a GET: status, body, headers."""
    with closing(HTTPConnection(*served.host_port, timeout=20)) as connection:
        sent = {"authorization": f"Bearer {key}", **headers}
        method = "GET" if body is None else "POST"
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), dict(answer.getheaders())


def chat(model: str = "sim-echo") -> dict[str, Any]:
    return {"model": model, "messages": question("Hello")}


@pytest.mark.parametrize(
    "end",
    [
        lambda served, key: served.cli("key", "revoke", key["id"]),
        lambda served, key: served.cli("key", "replace", key["id"], "--overlap", "0m"),
    ],
    ids=["revoked", "replaced at once"],
)
def test_a_stream_is_cut_when_its_key_ends(
    served: Served, end: Callable[[Served, dict[str, Any]], Any]
) -> None:
    key = make(served)
    wire = Wire(replace(served, api_key=key["api_key"])).ask(**ENDLESS)
    wire.read_until(b"data: ", 2)
    end(served, key)
    assert b"api_key_revoked" in wire.read_until(b"api_key_revoked")
    (newest,) = served.cli("usage", "--list", "1")["records"]
    assert newest["outcome"] == "revoked"
    assert ask(served, key["api_key"], body=chat())[0] == 401


ENDLESS_WORDS = "[[sim tokens=100000 delay_ms=50]]"
LATE = "[[sim first_ms=60000]]"
GEMINI = "/v1beta/models/sim-slow:streamGenerateContent"
PATHS: dict[str, Callable[[str], dict[str, Any]]] = {
    "/v1/chat/completions": lambda words: {"messages": question(words), "stream": True},
    "/v1/completions": lambda words: {"prompt": words, "stream": True, "max_tokens": 100_000},
    "/v1/responses": lambda words: {"input": words, "stream": True},
    "/v1/messages": lambda words: {
        "messages": question(words),
        "stream": True,
        "max_tokens": 100_000,
    },
    f"{GEMINI}?alt=sse": lambda words: {"contents": [{"parts": [{"text": words}]}]},
    GEMINI: lambda words: {"contents": [{"parts": [{"text": words}]}]},
}


def test_every_dialect_is_told_in_its_own_way_that_the_key_has_ended(served: Served) -> None:
    """Streams that run, and requests that wait for a first word."""
    key = make(served)
    one = replace(served, api_key=key["api_key"])
    running, waiting = {}, {}
    for path, body in PATHS.items():
        for wires, words in ((running, ENDLESS_WORDS), (waiting, LATE)):
            asked = {"model": "sim-slow", **body(words)}
            if wires is waiting:
                asked.pop("stream", None)
            wires[path] = Wire(one).post(path, json.dumps(asked).encode())
    for wire in running.values():
        wire.read_until(b"\r\n\r\n")
        wire.read_until(b"\r\n", wire.received.count(b"\r\n") + 6)
    served.cli("key", "revoke", key["id"])
    for path, wire in running.items():
        told = wire.read_until(b"0\r\n\r\n")
        assert b"This API key has ended while the answer was made." in told, path
        code = b"UNAUTHENTICATED" if path.startswith(GEMINI) else b"api_key_revoked"
        assert code in told, (path, told[-500:])
    for path, wire in waiting.items():
        assert b"This API key has ended" in wire.read_until(b"has ended while"), path
    records = served.cli("usage", "--list", "12")["records"]
    assert {record["outcome"] for record in records} == {"revoked"}


def test_a_key_does_what_its_scopes_say_and_nothing_else(served: Served) -> None:
    key = make(served, "--scopes", "models:read,usage:read")["api_key"]
    assert ask(served, key, "/v1/models")[0] == 200
    assert ask(served, key, "/v1/usage")[0] == 200
    for status, body, _ in (ask(served, key, body=chat()), ask(served, key, "/v1/balance")):
        assert (status, body["error"]["code"]) == (403, "permission_denied")
    assert body["error"]["value"] == "balance:read"


def test_a_model_that_a_key_may_not_name_is_one_that_does_not_exist(served: Served) -> None:
    key = make(served, "--models", "sim-echo")["api_key"]
    assert [model["id"] for model in ask(served, key, "/v1/models")[1]["data"]] == ["sim-echo"]
    assert ask(served, key, body=chat())[0] == 200
    there, nowhere = (ask(served, key, body=chat(model)) for model in ("sim-tool", "sim-nono"))
    assert there[0] == nowhere[0] == 404
    told = [json.dumps(answer[1]) for answer in (there, nowhere)]
    assert told[0].replace("sim-tool", "MODEL") == told[1].replace("sim-nono", "MODEL")


def test_a_key_may_be_bound_to_networks(served: Served) -> None:
    here = make(served, "--networks", "127.0.0.0/8,2001:db8::/32")["api_key"]
    elsewhere = make(served, "--networks", "203.0.113.0/24")["api_key"]
    assert ask(served, here, "/v1/models")[0] == 200
    status, body, _ = ask(served, elsewhere, "/v1/models")
    assert (status, body["error"]["code"]) == (403, "address_not_allowed")


def test_a_replaced_key_works_on_and_says_so(served: Served) -> None:
    old = make(served, "--scopes", "generate", "--models", "sim-echo")
    new = served.cli("key", "replace", old["id"], "--overlap", "1h")
    for key, marked in ((old, True), (new, False)):
        status, _, headers = ask(served, key["api_key"], body=chat())
        assert status == 200
        assert ("sunset" in headers) is marked
    _, _, headers = ask(served, old["api_key"], body=chat())
    assert headers["portico-key-successor"] == new["id"]
    assert (new["scopes"], new["models"]) == (["generate"], ["sim-echo"])


def test_a_key_makes_keys_for_minutes_which_are_less_than_itself(served: Served) -> None:
    maker = make(served, "--models", "sim-echo,sim-tool")
    wish = {"expires_in": 60, "models": ["sim-echo"], "scopes": ["generate"]}
    status, made, _ = ask(served, maker["api_key"], "/v1/ephemeral_keys", wish)
    assert status == 200
    key = made["value"]
    assert key.startswith("pk_ephemeral_")
    assert ask(served, key, body=chat())[0] == 200
    (newest,) = served.cli("usage", "--list", "1")["records"]
    assert newest["key_id"] == maker["id"]  # who pays, and whose limits count
    assert ask(served, key, body=chat("sim-tool"))[0] == 404
    assert ask(served, key, "/v1/models")[0] == 403
    assert ask(served, key, "/v1/ephemeral_keys", {})[0] == 403
    for more in ({"scopes": ["ephemeral:create"]}, {"models": ["sim-json"]}):
        status, body, _ = ask(served, maker["api_key"], "/v1/ephemeral_keys", more)
        assert (status, body["error"]["code"]) == (403, "rights_exceeded")
    for wrong in ({"expires_in": 0}, {"expires_in": 3_601}, {"scopes": ["owners:write"]}):
        assert ask(served, maker["api_key"], "/v1/ephemeral_keys", wrong)[0] == 400
    wire = Wire(replace(served, api_key=key)).ask(
        model="sim-echo", messages=question("[[sim tokens=100000 delay_ms=50]]"), stream=True
    )
    wire.read_until(b"data: ", 2)
    served.cli("key", "revoke", maker["id"])
    assert b"api_key_revoked" in wire.read_until(b"api_key_revoked")


def test_limits_per_minute_are_told_and_kept(served: Served) -> None:
    key = make(served)
    served.cli("limit", "set", key["id"], "--requests", "2", "--model", "sim-echo")
    served.cli("limit", "set", key["id"], "--at-once", "7", "--output-tokens", "5000")
    told = until(lambda: rates(served, key["api_key"]), 2)
    assert [(rate["model"], rate["requests_per_minute"]) for rate in told] == [
        (None, None),
        ("sim-echo", 2),
    ]
    left = [ask(served, key["api_key"], body=chat())[2] for _ in range(2)]
    assert [each["x-ratelimit-remaining-requests"] for each in left] == ["1", "0"]
    assert left[0]["x-ratelimit-limit-output-tokens"] == "5000"
    status, body, headers = ask(served, key["api_key"], body=chat())
    assert (status, body["error"]["code"]) == (429, "requests_per_minute_exceeded")
    assert 1 <= int(headers["retry-after"]) <= 61  # the slot that runs, too
    assert headers["x-ratelimit-remaining-requests"] == "0"
    anthropic = {"model": "sim-echo", "max_tokens": 9, "messages": question("Hello")}
    status, body, headers = ask(served, key["api_key"], "/v1/messages", anthropic)
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert ask(served, key["api_key"], body=chat("sim-tool"))[0] == 200
    replaced = served.cli("key", "replace", key["id"])
    assert until(lambda: rates(served, replaced["api_key"]), 2) == told
    for model in ("sim-echo", ""):
        served.cli("limit", "remove", key["id"], *(("--model", model) if model else ()))
    assert key["id"] not in {each["scope_id"] for each in served.cli("limit", "list")["limits"]}


def rates(served: Served, key: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = ask(served, key, "/v1/limits")[1]["rates"]
    return told


def until(look: Callable[[], list[Any]], count: int) -> list[Any]:
    """What it sees once there are so many: a server takes seconds to learn what was set."""
    ends_s = time.monotonic() + 20
    while len(found := look()) < count:
        assert time.monotonic() < ends_s
        time.sleep(0.1)
    return found

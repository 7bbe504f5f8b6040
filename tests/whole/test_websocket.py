"""Responses over a WebSocket against the whole product: OpenAI's SDK, and what happens to money."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.dialects.openai_responses.streams import check_response
from tests.whole.conftest import Served
from tests.whole.test_keys import rates, until
from tests.whole.wire import ask, eventually, metric, post, question

ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
NO_ENGINE = {"PORTICO_ENGINE_ENABLED": "false"}
SLOW = "[[sim tokens=100000 delay_ms=20]]"


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def turn(connection: Any, **fields: Any) -> list[Any]:
    """One request with the SDK, and all its events."""
    connection.response.create(**{"model": "sim-echo", **fields})
    events = [connection.recv()]
    while events[-1].type not in ENDS:
        events.append(connection.recv())
    return events


def joined(served: Served, key: str = "") -> connect:
    return connect(
        f"ws{served.base_url.removeprefix('http')}/responses",
        additional_headers={"Authorization": f"Bearer {key or served.api_key}"},
        proxy=None,
        max_size=None,
    )


def say(socket: ClientConnection, **fields: Any) -> None:
    socket.send(json.dumps({"type": "response.create", "model": "sim-echo", **fields}))


def hear(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The next event of one of these kinds."""
    while True:
        event: dict[str, Any] = json.loads(socket.recv(timeout=30))
        if event["type"] in kinds:
            return event


def newest(served: Served) -> dict[str, Any]:
    record: dict[str, Any] = served.cli("usage", "--list", "1")["records"][0]
    return record


def test_the_sdk_is_answered_the_same_as_over_http(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "sim-echo", "input": "Say it again.", "store": False}
    plain = client.responses.create(**asked, stream=True)
    over_http = [(event.type, event.sequence_number) for event in plain]
    with client.responses.connect() as connection:
        events = turn(connection, **asked)
    assert [(event.type, event.sequence_number) for event in events] == over_http
    check_response(events[-1].response.to_dict())
    assert events[-1].response.output_text == "Say it again."


def test_the_first_event_says_what_a_head_would(served: Served, client: openai.OpenAI) -> None:
    """Limits, who answered, and what of the request was left out."""
    asked: dict[str, Any] = {"model": "sim-echo", "input": "Hi", "tools": [{"type": "web_search"}]}
    plain = client.responses.with_raw_response.create(**asked)
    of_http = {"date", "content-type", "content-length", "x-content-type-options"}
    names = {name for name in plain.headers if name.startswith(("portico", "x-", "openai"))}
    with client.responses.connect() as connection:
        first, *others = [event.to_dict() for event in turn(connection, **asked)]
    headers = first["headers"]
    said = {name for name in names - of_http if "cost" not in name}
    assert said <= headers.keys() | {"referrer-policy"}, "what is known before the answer is"
    assert headers["portico-warnings"] == plain.headers["portico-warnings"]
    assert headers["x-request-id"] == first["response"]["id"].replace("resp_", "req_")
    assert "content-type" not in headers
    assert not any("headers" in event for event in others)


@pytest.mark.anyio
async def test_the_sdk_in_an_event_loop(served: Served) -> None:
    async with (
        openai.AsyncOpenAI(base_url=served.base_url, api_key=served.api_key) as client,
        client.responses.connect() as connection,
    ):
        for text in ("one", "two"):
            await connection.response.create(model="sim-echo", input=text)
            async for event in connection:
                if event.type == "response.completed":
                    assert event.response.output_text == text
                    break


def test_the_demo_engine_follows_what_nobody_keeps(client: openai.OpenAI, served: Served) -> None:
    with client.responses.connect() as connection:
        first = turn(connection, model="portico-demo", input="Hi", store=False)[-1].response
        second = turn(
            connection,
            model="portico-demo",
            input="And?",
            store=False,
            previous_response_id=first.id,
        )[-1].response
    assert second.previous_response_id == first.id
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    status, _, _ = post(
        served,
        "/v1/responses",
        json.dumps({"model": "sim-echo", "input": "x", "previous_response_id": first.id}).encode(),
    )
    assert status == 400


def test_what_is_stored_is_followed_from_anywhere(client: openai.OpenAI) -> None:
    with client.responses.connect() as connection:
        first = turn(connection, input="a")[-1].response
        assert client.responses.retrieve(first.id).output_text == "a"
        over_http = client.responses.create(
            model="sim-echo", input="b", previous_response_id=first.id
        )
        last = turn(connection, input="c", previous_response_id=over_http.id)[-1].response
    items = client.responses.input_items.list(last.id)
    assert [item.id for item in items] != []
    assert client.responses.retrieve(last.id).previous_response_id == over_http.id


def test_each_request_has_one_record(served: Served) -> None:
    before = served.cli("usage")["total"]["requests"]
    with joined(served) as socket:
        ids = []
        for lane in ("a", "b", "c"):
            say(socket, input=lane, stream_id=lane)
        for lane in ("a", "b", "c"):
            event = hear(socket, *ENDS)
            assert event["stream_id"] == lane
            ids.append("req_" + event["response"]["id"].removeprefix("resp_"))
    assert served.cli("usage")["total"]["requests"] == before + 3
    records = served.cli("usage", "--list", "3")["records"]
    assert sorted(record["id"] for record in records) == sorted(ids)
    assert {record["outcome"] for record in records} == {"completed"}


def test_closing_in_the_middle_is_one_record_client_gone(served: Served) -> None:
    records = metric(served, "portico_usage_records_total")
    with joined(served) as socket:
        for _ in range(3):
            say(socket, model="sim-lorem", input=SLOW)
        hear(socket, "response.output_text.delta")
        assert metric(served, "portico_websockets") == 1
    eventually(lambda: metric(served, "portico_usage_records_total") == records + 1)
    eventually(lambda: metric(served, "portico_websockets") == 0)
    assert metric(served, "portico_requests_running") == 0
    record = newest(served)
    assert record["outcome"] == "client_gone"
    assert record["output_tokens"] >= 1


def test_a_key_that_is_revoked_cuts_the_answer(serve: Callable[..., Served]) -> None:
    served = serve("--simulated", env=NO_ENGINE)
    key = served.cli("key", "create", "--name", "short")
    with joined(served, key["api_key"]) as socket:
        say(socket, model="sim-lorem", input=SLOW)
        hear(socket, "response.output_text.delta")
        served.cli("key", "revoke", key["id"])
        assert hear(socket, "error")["error"]["code"] == "api_key_revoked"
        assert hear(socket, "response.failed")["response"]["status"] == "failed"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
    assert newest(served)["outcome"] == "revoked"


def test_limits_are_those_of_http(serve: Callable[..., Served]) -> None:
    served = serve("--simulated", env={**NO_ENGINE, "PORTICO_WEBSOCKET_PER_KEY_MAX": "1"})
    key = served.cli("key", "create", "--name", "one")
    served.cli("limit", "set", key["id"], "--requests", "2")
    until(lambda: rates(served, key["api_key"]), 1)
    with joined(served, key["api_key"]) as socket:
        for kind in ("response.completed", "response.completed", "error"):
            say(socket, input="x")
            event = hear(socket, *ENDS)
            assert event["type"] == kind
        assert (event["status"], event["error"]["code"]) == (429, "requests_per_minute_exceeded")
        assert int(event["error"]["headers"]["retry-after"]) >= 1
        status, _, _ = ask(
            Served(served.process, served.base_url, key["api_key"], served.data_dir),
            model="sim-echo",
            messages=question("x"),
        )
        assert status == 429


def test_sigterm_ends_what_runs_and_closes(serve: Callable[..., Served]) -> None:
    served = serve("--simulated", env=NO_ENGINE)
    with joined(served) as busy, joined(served) as idle:
        say(busy, model="sim-lorem", input="[[sim tokens=60 delay_ms=20]]", stream_id="runs")
        hear(busy, "response.output_text.delta")
        served.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            idle.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        say(busy, input="late", stream_id="late")
        ends = {(event := hear(busy, *ENDS))["stream_id"]: event for _ in range(2)}
        assert ends["late"]["error"]["code"] == "server_shutting_down"
        assert ends["runs"]["type"] == "response.completed"
        with pytest.raises(ConnectionClosed):
            busy.recv(timeout=30)
    assert served.process.wait(30) == 0
    assert newest(served)["outcome"] == "completed"


def test_kill_loses_no_answer_that_was_told(serve: Callable[..., Served]) -> None:
    served = serve("--simulated", env=NO_ENGINE)
    told = []
    with joined(served) as socket:
        for _ in range(50):
            say(socket, input="x")
            told.append("req_" + hear(socket, *ENDS)["response"]["id"].removeprefix("resp_"))
        say(socket, model="sim-lorem", input=SLOW)
        hear(socket, "response.output_text.delta")
        served.process.kill()
    served.process.wait()
    again = serve(data_dir=served.data_dir, env=NO_ENGINE)
    records = [record["id"] for record in again.cli("usage", "--list", "100")["records"]]
    assert set(told) <= set(records)
    assert len(records) == len(set(records))

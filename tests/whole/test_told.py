"""A developer's program is told of what ended while nobody waited, in words that OpenAI's SDK reads."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest
from standardwebhooks.webhooks import Webhook

from tests.whole.conftest import Served, end, start
from tests.whole.wire import eventually

ENVIRONMENT = {
    "PORTICO_SERVER_DRAIN_S": "0",
    "PORTICO_ENGINE_ENABLED": "false",
    "PORTICO_ALERTS_PRIVATE_ADDRESSES_ALLOWED": "true",
    "PORTICO_ALERTS_EVERY_S": "0.1",
}


class Receiver:
    """statuses: answered one after another, the last for ever.  came: (path, headers, body) of each."""

    def __init__(self) -> None:
        self.statuses = [204]
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.came.append((self.path, headers, body))
                status = outer.statuses[0] if len(outer.statuses) == 1 else outer.statuses.pop(0)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def at(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for where, headers, body in self.came if where == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _private(monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands, which run in this process."""
    monkeypatch.setenv("PORTICO_ALERTS_PRIVATE_ADDRESSES_ALLOWED", "true")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("told") / "data", "--simulated", env=ENVIRONMENT)
    yield running
    end(running)


def client_of(served: Served) -> openai.OpenAI:
    return openai.OpenAI(api_key=served.api_key, base_url=served.base_url, max_retries=0)


def ask(client: openai.OpenAI, words: str = "Hello") -> Any:
    return client.responses.create(model="sim-echo", input=words, background=True)


def made(served: Served, url: str, *words: str) -> tuple[str, str]:
    """Id and secret of an endpoint."""
    told = served.cli("webhook", "create", url, *words)
    return told["id"], told["secret"]


def test_the_sdk_reads_what_it_is_told(served: Served, receiver: Receiver) -> None:
    _, secret = made(served, f"{receiver.url}/sdk", "--kinds", "response.completed")
    with client_of(served) as client:
        asked = ask(client)
        eventually(lambda: receiver.at("/sdk"))
        ((headers, body),) = receiver.at("/sdk")
        event = client.webhooks.unwrap(body, headers, secret=secret)
        assert (event.object, event.type, event.data.id) == (
            "event",
            "response.completed",
            asked.id,
        )
        assert event.created_at > 1_700_000_000
        assert client.responses.retrieve(event.data.id).output_text == "Hello"
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body + b" ", headers, secret=secret)
    assert Webhook(secret).verify(body, headers)["data"]["id"] == asked.id


def test_kinds_and_projects_are_told_apart(served: Served, receiver: Receiver) -> None:
    other = served.cli("project", "create", "Other")["id"]
    made(served, f"{receiver.url}/all")
    made(served, f"{receiver.url}/batches", "--kinds", "batch.completed")
    made(served, f"{receiver.url}/other", "--project", other)
    with client_of(served) as client:
        cut = client.responses.create(
            model="sim-echo", input="one two three", background=True, max_output_tokens=1
        )
        line = {"custom_id": "a", "method": "POST", "url": "/v1/responses"}
        line["body"] = {"model": "sim-echo", "input": "Hello"}  # type: ignore[assignment]
        file = client.files.create(file=("a.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
        eventually(lambda: len(receiver.at("/all")) == 2)
        eventually(lambda: receiver.at("/batches"))
    told = {(event["type"], event["data"]["id"]) for event in map(_event, receiver.at("/all"))}
    assert told == {("response.incomplete", cut.id), ("batch.completed", batch.id)}
    assert [_event(each)["data"]["id"] for each in receiver.at("/batches")] == [batch.id]
    assert receiver.at("/other") == []


def _event(came: tuple[dict[str, str], bytes]) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(came[1])
    return event


def test_what_did_not_arrive_is_in_the_log_and_sent_again(
    served: Served, receiver: Receiver
) -> None:
    receiver.statuses = [500, 204]
    endpoint, secret = made(served, f"{receiver.url}/late", "--kinds", "response.completed")
    with client_of(served) as client:
        asked = ask(client)

        def log() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = served.cli("webhook", "deliveries", endpoint)[
                "deliveries"
            ]
            return found

        eventually(lambda: [each["attempts"] for each in log()] == [1])
        (delivery,) = log()
        assert delivery["state"] == "waiting"
        assert "500" in delivery["last"]
        served.cli("webhook", "replay", delivery["id"])
        eventually(lambda: log()[0]["state"] == "delivered")
        first, second = receiver.at("/late")
        assert first[0]["webhook-id"] == second[0]["webhook-id"] == delivery["id"]
        assert first[1] == second[1], "the same event, to the byte"
        event = client.webhooks.unwrap(second[1], second[0], secret=secret)
        assert event.data.id == asked.id


def test_killed_before_it_was_told(tmp_path: Path, receiver: Receiver) -> None:
    """What ended is told by the next server: once, as an event."""
    served = start(tmp_path / "data", "--simulated", env=ENVIRONMENT)
    with client_of(served) as client:
        made(served, f"{receiver.url}/killed", "--kinds", "response.completed,response.failed")
        asked = {ask(client, f"Number {at}").id for at in range(20)}
        served.process.kill()
        served.process.communicate()
    again = start(tmp_path / "data", "--simulated", env=ENVIRONMENT)
    try:
        eventually(lambda: asked <= {_event(e)["data"]["id"] for e in receiver.at("/killed")})
    finally:
        end(again)
    events = {(_event(e)["id"], _event(e)["data"]["id"]) for e in receiver.at("/killed")}
    assert len(events) == 20

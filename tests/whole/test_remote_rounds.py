"""What an answer of several rounds costs, and who is told: against a server whose developers pay."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.tools import servers
from tests.whole.conftest import FOLLOWS, Served, end, start
from tests.whole.test_keys import rates, until
from tests.whole.test_remote_tools import ON, ask, calling, kinds, tool
from tests.whole.test_remote_tools_messages import fields
from tests.whole.wire import eventually, metric

SCOPES = "generate,responses,batches,files,usage:read,balance:read,tools:remote"
CREDIT = "10"


class Looping(BaseHTTPRequestHandler):
    """An engine whose one model calls the first tool it is offered, whatever it was told."""

    def do_GET(self) -> None:
        self._say("application/json", {"object": "list", "data": [{"id": "loops"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said: dict[str, Any] = {"role": "assistant", "content": "Hi"}
        if asked.get("tools"):
            function = {"name": asked["tools"][0]["function"]["name"], "arguments": '{"a":1,"b":1}'}
            call = {"index": 0, "id": "call", "type": "function", "function": function}
            said = {"role": "assistant", "tool_calls": [call]}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        end = {"index": 0, "finish_reason": "tool_calls" if "tool_calls" in said else "stop"}
        if not asked.get("stream"):
            self._say("application/json", {"choices": [{**end, "message": said}], "usage": usage})
            return
        chunks = [{"choices": [{"index": 0, "delta": said}]}, {"choices": [{**end, "delta": {}}]}]
        self._say("text/event-stream", *chunks, {"choices": [], "usage": usage})

    def _say(self, kind: str, *documents: Any) -> None:
        if kind == "application/json":
            body = json.dumps(documents[0]).encode()
        else:
            body = "".join(f"data: {json.dumps(each)}\n\n" for each in documents).encode()
            body += b"data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def looping() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Looping) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


class Paid:
    """A server whose organisation is `prepaid`, and clients of it."""

    def __init__(self, served: Served) -> None:
        self.served = served
        (project,) = served.cli("project", "list")["projects"]
        self.organisation: str = project["organisation_id"]
        served.cli("terms", "set", self.organisation, "--kind", "prepaid")
        for model in ("sim-tool", "loops"):
            served.cli("price", "set", model, "--input", "1", "--output", "10")
        served.cli("credit", "grant", self.organisation, "--usd", CREDIT)
        self.key = self.new_key()["api_key"]
        eventually(lambda: self.get("/balance")["terms"] == "prepaid")
        eventually(lambda: len(self.get("/prices")["data"]) == 4)

    def new_key(self, project: str | None = None) -> dict[str, Any]:
        where = () if project is None else ("--project", project)
        made: dict[str, Any] = self.served.cli("key", "create", "--scopes", SCOPES, *where)
        return made

    def openai(self, key: str = "") -> openai.OpenAI:
        return openai.OpenAI(
            api_key=key or self.key, base_url=self.served.base_url, max_retries=0, timeout=30
        )

    def anthropic(self, key: str) -> anthropic.Anthropic:
        base_url = self.served.base_url.removesuffix("/v1")
        return anthropic.Anthropic(api_key=key, base_url=base_url, max_retries=0, timeout=30)

    def get(self, path: str) -> dict[str, Any]:
        head = {"Authorization": f"Bearer {self.key}"}
        told: dict[str, Any] = httpx2.get(self.served.base_url + path, headers=head).json()
        return told

    def post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        head = {"Authorization": f"Bearer {self.key}"}
        return httpx2.post(self.served.base_url + path, json=body, headers=head, timeout=30)

    def one(self, sql: str) -> Any:
        with closing(sqlite3.connect(self.served.data_dir / "portico.db")) as books:
            return books.execute(sql).fetchone()[0]


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    light = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_TOOLS_CALL_S": "30"}
    folder = tmp_path_factory.mktemp("paid") / "data"
    with looping() as url:
        words = ("--simulated", "--upstream", url)
        paid = Paid(start(folder, *words, env={**ON, **FOLLOWS, **light}))
        yield paid
        end(paid.served)


@pytest.fixture(scope="module")
def remote() -> Iterator[servers.Remote]:
    with servers.real() as remote:
        yield remote


def test_each_round_is_found_by_the_answers_request(paid: Paid, remote: servers.Remote) -> None:
    with paid.openai() as client:
        made = ask(client, remote, calling("add", a=2, b=2))
        assert kinds(made)[-1] == "message"
        told = paid.get(f"/usage?request_id={made._request_id}")
        assert [row["request"] for row in told["data"]] == [
            made._request_id,
            f"{made._request_id}_2",
        ]
        assert sum(row["output_tokens"] for row in told["data"]) == made.usage.output_tokens
        (whole,) = paid.get(f"/usage?request_id={made._request_id}&group_by=model")["data"]
        assert (whole["requests"], whole["input_tokens"]) == (2, made.usage.input_tokens)
        listed = paid.served.cli("usage", "--request", made._request_id, "--list", "9")["records"]
        assert len(listed) == 2
    other = paid.served.cli("project", "create", "other")["id"]
    foreign = Paid.get.__get__(_Keyed(paid, paid.new_key(other)["api_key"]))
    assert foreign(f"/usage?request_id={made._request_id}")["data"] == []


@pytest.mark.parametrize("dialect", ["responses", "messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_calls_without_end_is_ended_and_each_round_paid(
    paid: Paid, remote: servers.Remote, dialect: str, stream: bool
) -> None:
    only = tool(remote, allowed_tools=["add"])
    body: dict[str, Any] = {"model": "loops", "input": "Go.", "tools": [only]}
    if dialect == "messages":
        body = fields(remote, "Go.", model="loops")
        del body["betas"]
    before = paid.one("SELECT COALESCE(SUM(net_nano), 0) FROM charge")
    remote.calls.clear()
    answer = paid.post(f"/{dialect}", {**body, "stream": stream})
    told = _events(answer.text)[-1] if stream else answer.json()
    said = json.dumps(_events(answer.text)) if stream else json.dumps(told)
    assert '"portico_stop_reason": "tools.rounds_max"' in said
    assert remote.calls == [("add", {"a": 1, "b": 1})] * 3, "of four rounds, the last makes none"
    request_id = answer.headers["x-request-id" if dialect == "responses" else "request-id"]
    rounds = paid.get(f"/usage?request_id={request_id}")["data"]
    assert [row["output_tokens"] for row in rounds] == [5] * 4
    charged = paid.one("SELECT SUM(net_nano) FROM charge") - before
    assert charged == 4 * (10 * 1_000 + 5 * 10_000)
    if not stream:
        assert int(answer.headers["portico-cost-nano-usd"]) == charged


class _Keyed:
    def __init__(self, paid: Paid, key: str) -> None:
        self.served, self.key = paid.served, key


def test_calls_are_counted_by_what_came_of_them(paid: Paid, remote: servers.Remote) -> None:
    def count(outcome: str) -> float:
        return metric(paid.served, f'portico_tool_calls_total{{outcome="{outcome}"}}')

    with paid.openai() as client:
        for name, outcome in (("add", "answered"), ("broken", "tool_failed")):
            before = count(outcome)
            ask(client, remote, calling(name, **({"a": 1, "b": 1} if name == "add" else {})))
            assert count(outcome) == before + 1


def test_what_was_approved_is_called_for_nobody_who_may_not_go_on(
    paid: Paid, remote: servers.Remote
) -> None:
    """Neither beyond a limit nor without credit; and for whoever may, once."""
    careful = [tool(remote, require_approval="always")]
    key = paid.new_key()
    paid.served.cli("limit", "set", key["id"], "--requests", "3", "--model", "sim-tool")
    with paid.openai(key["api_key"]) as client:
        until(lambda: rates(paid.served, key["api_key"]), 1)
        asked = ask(client, remote, calling("delete", name="a"), tools=careful)
        done = _approve(client, asked, careful)
        assert kinds(done) == ["mcp_call", "message"]
        ask(client, remote, calling("delete", name="b"), tools=careful)
        remote.calls.clear()
        remote.heads.clear()
        with pytest.raises(openai.RateLimitError) as refused:
            _approve(client, asked, careful)
        with pytest.raises(openai.RateLimitError):
            ask(client, remote, "What is there?")
        begun = [head for head in remote.heads if "mcp-session-id" not in head]
        assert begun == [], "nor is a server asked what it offers"
    assert (refused.value.code, remote.calls) == ("requests_per_minute_exceeded", [])
    with paid.openai() as client:
        done = _approve(client, asked, careful)
        assert (kinds(done), remote.calls) == (
            ["mcp_call", "message"],
            [("delete", {"name": "a"})],
        )
        remote.calls.clear()
    poor = paid.new_key()
    paid.served.cli("budget", "set", "key", poor["id"], "--period", "month", "--usd", "0.000001")
    with paid.openai(poor["api_key"]) as client:
        eventually(lambda: _is_refused(client))
        with pytest.raises(openai.RateLimitError):
            _approve(client, asked, careful)
    assert remote.calls == []
    eventually(lambda: paid.one("SELECT count(*) FROM hold WHERE state = 'open'") == 0)


def _is_refused(client: openai.OpenAI) -> bool:
    try:
        client.responses.create(model="sim-tool", input="Hi", store=False)
    except openai.RateLimitError:
        return True
    return False


def _approve(client: openai.OpenAI, asked: Any, tools: Any) -> Any:
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": asked.output[-1].id,
        "approve": True,
    }
    more: dict[str, Any] = {"input": [answer], "previous_response_id": asked.id, "tools": tools}
    return client.responses.create(model="sim-tool", **more)


def test_messages_that_break_off_between_rounds_give_what_was_made(
    paid: Paid, remote: servers.Remote
) -> None:
    """It is paid; and sent back, it is gone on with."""
    remote.calls.clear()
    key = paid.new_key()
    paid.served.cli("limit", "set", key["id"], "--requests", "1", "--model", "sim-tool")
    until(lambda: rates(paid.served, key["api_key"]), 1)
    said = fields(remote, calling("delete", name="once"))
    with paid.anthropic(key["api_key"]) as client:
        raw = client.beta.messages.with_raw_response.create(**said)
        made = raw.parse()
        assert [block.type for block in made.content] == ["mcp_tool_use", "mcp_tool_result"]
        assert made.stop_reason == "pause_turn"
        assert made.model_extra["portico_stop_reason"] == "requests_per_minute_exceeded"
        assert made.usage.output_tokens > 0
        assert int(raw.headers["portico-cost-nano-usd"]) > 0
    back = {"role": "assistant", "content": [block.model_dump() for block in made.content]}
    with paid.anthropic(paid.key) as client:
        rest = client.beta.messages.create(**{**said, "messages": [*said["messages"], back]})
    assert [block.type for block in rest.content] == ["text"]
    assert rest.stop_reason == "end_turn"
    assert remote.calls == [("delete", {"name": "once"})]


def test_a_stream_of_messages_that_breaks_off_says_why(paid: Paid, remote: servers.Remote) -> None:
    key = paid.new_key()
    paid.served.cli("limit", "set", key["id"], "--requests", "1", "--model", "sim-tool")
    until(lambda: rates(paid.served, key["api_key"]), 1)
    with paid.anthropic(key["api_key"]) as client:
        stream = client.beta.messages.create(
            **fields(remote, calling("delete", name="once"), stream=True)
        )
        blocks: list[str] = []
        with pytest.raises(anthropic.APIStatusError) as refused:
            blocks.extend(
                event.content_block.type for event in stream if event.type == "content_block_start"
            )
    assert blocks == ["mcp_tool_use", "mcp_tool_result"]
    body: Any = refused.value.body
    assert body["error"]["type"] == "rate_limit_error"
    assert body["error"]["details"]["error_code"] == "requests_per_minute_exceeded"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


ANSWERS = {
    "a call": calling("add", a=1, b=2),
    "a tool that fails": calling("broken"),
    "a limit": '[[sim call=thing__add calls=7 args={"a":1,"b":1}]] Go.',
    "a question": calling("delete", name="a"),
}


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("lost", [False, True], ids=["there", "gone"])
def test_responses_are_what_the_sdk_says_they_are(
    paid: Paid, remote: servers.Remote, what: str, lost: bool
) -> None:
    """Strictly: the SDK itself takes anything."""
    asks = {"never": {"tool_names": ["add", "broken"]}}
    named = tool(remote, require_approval=asks)
    if lost:
        named["server_url"] = "http://127.0.0.1:9/mcp"
    body = {"model": "sim-tool", "input": ANSWERS[what], "tools": [named]}
    _adapter(Response).validate_python(paid.post("/responses", body).json())
    for event in _events(paid.post("/responses", {**body, "stream": True}).text):
        _adapter(ResponseStreamEvent).validate_python(event)


@pytest.mark.parametrize("what", ANSWERS)
def test_messages_are_what_the_sdk_says_they_are(
    paid: Paid, remote: servers.Remote, what: str
) -> None:
    body = fields(remote, ANSWERS[what])
    del body["betas"]
    _adapter(BetaMessage).validate_python(paid.post("/messages", body).json())
    for event in _events(paid.post("/messages", {**body, "stream": True}).text):
        if event["type"] != "ping":
            _adapter(BetaRawMessageStreamEvent).validate_python(event)


def _events(text: str) -> list[dict[str, Any]]:
    said = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    assert said
    return [json.loads(each) for each in said]


def test_a_server_that_does_not_let_go_keeps_nobody_waiting(paid: Paid) -> None:
    """The next request of a connection is answered while the end of the last one's session hangs."""
    leaving, let_go = Event(), Event()

    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if head.startswith(b"DELETE"):
            leaving.set()
            connection.recv(1)  # until Portico gives up
            let_go.set()
        elif message.get("method") == "initialize":
            begun = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": begun}
            servers.reply(connection, answer, "mcp-session-id: x")
        else:
            servers.polite(connection, message)

    with servers.hostile(answering) as remote, paid.openai() as client:
        ask(client, remote, "Hello", tool_choice="none")
        assert leaving.wait(20)
        client.responses.create(model="sim-tool", input="Hi", store=False)
        assert not let_go.is_set()


def test_a_line_of_a_batch_has_none_and_says_so(paid: Paid, remote: servers.Remote) -> None:
    body = {"model": "sim-tool", "input": calling("add", a=1, b=1), "tools": [tool(remote)]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body}
    remote.calls.clear()
    with paid.openai() as client:
        file = client.files.create(file=("a.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
        eventually(lambda: client.batches.retrieve(batch.id).status == "completed")
        wrong = client.batches.retrieve(batch.id).error_file_id
        assert wrong is not None
        told = json.loads(client.files.content(wrong).text)["response"]["body"]["error"]
    assert (told["code"], told["param"]) == ("unsupported_feature", "tools")
    assert "batch" in told["message"]
    assert remote.calls == []


def test_killed_while_a_tool_is_called_what_was_made_is_charged_once(paid: Paid) -> None:
    """The last test of this server: kill -9, and another one on the same books."""
    with servers.real() as remote, paid.openai() as client:
        stream = ask(client, remote, calling("wait"), stream=True)
        made = next(iter(stream)).response
        assert remote.waiting.wait(20)
        request_id = f"req_{made.id.removeprefix('resp_')}"
        before = paid.one("SELECT count(*) FROM charge")
        assert paid.one(f"SELECT count(*) FROM charge WHERE id = '{request_id}'") == 1
        paid.served.process.kill()
        paid.served.process.wait()
        stream.close()
    env = {**ON, **FOLLOWS, "PORTICO_ENGINE_ENABLED": "false"}
    again = start(paid.served.data_dir, "--simulated", env=env)
    try:
        records = again.cli("usage", "--request", request_id, "--list", "9")["records"]
        assert [(each["id"], each["outcome"]) for each in records] == [(request_id, "completed")]
        assert paid.one("SELECT count(*) FROM charge") == before
        assert paid.one("SELECT count(*) FROM hold WHERE state = 'open'") == 0
        assert again.cli("ledger", "audit")["ok"]
        assert len(remote.calls) == 1
        with openai.OpenAI(api_key=paid.key, base_url=again.base_url, max_retries=0) as client:
            with pytest.raises(openai.NotFoundError):
                client.responses.retrieve(made.id)
            with servers.real() as new:
                assert kinds(ask(client, new, calling("add", a=1, b=1)))[-1] == "message"
    finally:
        end(again)

"""Batches on a server as users start it, with the SDKs of OpenAI and of Anthropic."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from tests.whole.conftest import Served
from tests.whole.test_files import another_projects, ask, code_of
from tests.whole.wire import eventually

Serve = Callable[..., Served]
CHAT: Any = "/v1/chat/completions"
LIGHT = {"PORTICO_ENGINE_ENABLED": "false"}
OVER = ("completed", "failed", "expired", "cancelled")
LONG_S = 900.0
NO_ID = "batch_00000000000000000000000000000000"


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0) as made:
        yield made


@pytest.fixture
def claude(served: Served) -> Iterator[Anthropic]:
    with claude_of(served) as made:
        yield made


def client_of(served: Served, **more: Any) -> OpenAI:
    return OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0, **more)


def claude_of(served: Served) -> Anthropic:
    root = served.base_url.removesuffix("/v1")
    return Anthropic(base_url=root, api_key=served.api_key, max_retries=0)


def line(custom_id: str, body: Any = None, /, **more: Any) -> str:
    if body is None:
        said = [{"role": "user", "content": f"I am {custom_id}"}]
        body = {"model": "sim-echo", "messages": said}
    document = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}
    return json.dumps({**document, **more})


def started(client: OpenAI, data: bytes, endpoint: Any = CHAT, **more: Any) -> Any:
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more
    )


def ended(client: OpenAI, batch_id: str) -> Any:
    found: list[Any] = []

    def over() -> bool:
        found[:] = [client.batches.retrieve(batch_id)]
        return found[0].status in OVER

    eventually(over)
    return found[0]


def content(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(text) for text in client.files.content(file_id).text.splitlines()]


def message(custom_id: str, text: str = "Hello", **more: Any) -> Any:
    params = {
        "model": "sim-echo",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": text}],
    }
    return {"custom_id": custom_id, "params": {**params, **more}}


# -- OpenAI's ---------------------------------------------------------------------------------


def test_openais_batches(client: OpenAI) -> None:
    lines = [line(f"c{n}") for n in range(20)] + [line("bad", {"model": "nobody", "messages": []})]
    batch = started(client, "\n".join(lines).encode(), metadata={"for": "test"})
    assert (batch.status, batch.object, batch.metadata) == ("validating", "batch", {"for": "test"})
    assert batch.expires_at == batch.created_at + 86_400
    batch = ended(client, batch.id)
    assert (batch.status, batch.errors) == ("completed", None)
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (21, 20, 1)
    assert batch.model == "sim-echo"
    answers = {each["custom_id"]: each for each in content(client, batch.output_file_id)}
    assert answers.keys() == {f"c{n}" for n in range(20)}
    said = [answer["response"]["body"]["usage"] for answer in answers.values()]
    assert batch.usage.input_tokens == sum(each["prompt_tokens"] for each in said) > 0
    assert batch.usage.output_tokens == sum(each["completion_tokens"] for each in said) > 0
    assert batch.usage.total_tokens == sum(each["total_tokens"] for each in said)
    for custom_id, answer in answers.items():
        assert answer["error"] is None
        assert answer["response"]["status_code"] == 200
        assert answer["response"]["request_id"] == answer["id"]
        body = answer["response"]["body"]
        assert body["choices"][0]["message"]["content"] == f"I am {custom_id}"
    (bad,) = content(client, batch.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 400)
    assert client.files.retrieve(batch.output_file_id).purpose == "batch_output"
    assert batch.id in [each.id for each in client.batches.list(limit=5)]
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


@pytest.mark.anyio
async def test_with_the_async_client(served: Served) -> None:
    async with AsyncOpenAI(base_url=served.base_url, api_key=served.api_key) as client:
        file = await client.files.create(file=("in.jsonl", line("one").encode()), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        while batch.status not in OVER:
            await asyncio.sleep(0.05)
            batch = await client.batches.retrieve(batch.id)
        assert batch.output_file_id is not None
        assert "I am one" in (await client.files.content(batch.output_file_id)).text


@pytest.mark.parametrize(
    ("endpoint", "body", "found"),
    [
        ("/v1/embeddings", {"model": "sim-embed", "input": "hi"}, "data"),
        ("/v1/completions", {"model": "sim-echo", "prompt": "hi"}, "choices"),
        ("/v1/responses", {"model": "sim-echo", "input": "hi"}, "output"),
        ("/v1/moderations", {"input": "hi"}, "results"),
    ],
)
def test_every_endpoint(client: OpenAI, endpoint: str, body: dict[str, Any], found: str) -> None:
    good = json.dumps({"custom_id": "a", "method": "POST", "url": endpoint, "body": body})
    wrong = {**body, next(reversed(body)): 7}
    bad = json.dumps({"custom_id": "b", "method": "POST", "url": endpoint, "body": wrong})
    batch = ended(client, started(client, f"{good}\n{bad}".encode(), endpoint).id)
    assert batch.status == "completed", batch.errors
    (answer,) = content(client, batch.output_file_id)
    assert answer["response"]["body"][found]
    (failed,) = content(client, batch.error_file_id)
    assert failed["response"]["status_code"] == 400
    assert failed["response"]["body"]["error"]["param"]


def test_what_lines_of_several_models_used_is_told_of_them_all(client: OpenAI) -> None:
    lines = [
        line("a"),
        "",
        "",
        "",
        line("b", {**json.loads(line("b"))["body"], "model": "sim-lorem"}),
    ]
    made = started(client, "\n".join(lines).encode())
    assert (made.usage, made.model) == (None, None)
    batch = ended(client, made.id)
    bodies = [each["response"]["body"] for each in content(client, batch.output_file_id)]
    assert batch.usage.total_tokens == sum(body["usage"]["total_tokens"] for body in bodies)
    assert {body["model"] for body in bodies} == {"sim-echo", "sim-lorem"}
    assert batch.model is None
    listed = next(each for each in client.batches.list() if each.id == batch.id)
    assert listed == batch


def test_a_line_may_follow_a_response_but_belongs_to_no_conversation(client: OpenAI) -> None:
    first = client.responses.create(model="sim-echo", input="My name is Ada.")
    conversation = client.conversations.create()
    bodies = {
        "follows": {"model": "sim-auto", "input": "x", "previous_response_id": first.id},
        "joins": {"model": "sim-auto", "input": "x", "conversation": conversation.id},
    }
    lines = [line(name, body, url="/v1/responses") for name, body in bodies.items()]
    batch = ended(client, started(client, "\n".join(lines).encode(), "/v1/responses").id)
    (answer,) = content(client, batch.output_file_id)
    made = answer["response"]["body"]
    assert (answer["custom_id"], made["previous_response_id"]) == ("follows", first.id)
    assert made["usage"]["input_tokens"] > 5, "what came before is in front of it"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made["id"])
    (refused,) = content(client, batch.error_file_id)
    assert refused["response"]["body"]["error"]["param"] == "conversation"


@pytest.mark.parametrize(
    "data",
    [
        "\n\n".join([line("a"), line("b")]).encode() + b"\n\n\n",
        "\r\n".join([line("a"), line("b")]).encode(),
        b"\xef\xbb\xbf" + "\n".join([line("a"), line("b")]).encode(),
        f"  {line('a')}\t\n{line('b')}\n".encode(),
    ],
    ids=["blank lines", "CRLF", "BOM", "spaces"],
)
def test_files_as_people_write_them(client: OpenAI, data: bytes) -> None:
    batch = ended(client, started(client, data).id)
    assert (batch.status, batch.errors) == ("completed", None)
    found = content(client, batch.output_file_id)
    assert [each["custom_id"] for each in found] == ["a", "b"]


DEEP = json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": 1}).replace(
    "1}", '{"a": ' * 50_000 + "1" + "}" * 50_001
)


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        (b"\n \n", "empty_file", 0),
        (f"{line('a')}\n{line('a')}".encode(), "duplicate_custom_id", 2),
        (line("a", url="/v1/embeddings").encode(), "mismatched_endpoint", 1),
        (line("a", method="GET").encode(), "invalid_method", 1),
        (line("a", {"model": "m", "stream": True}).encode(), "streaming_not_allowed", 1),
        (line("a", {"model": "m", "background": True}).encode(), "background_not_allowed", 1),
        (line("a", custom_id="").encode(), "invalid_custom_id", 1),
        (line("a", custom_id=7).encode(), "invalid_custom_id", 1),
        (line("a", custom_id="a\0b").encode(), "invalid_custom_id", 1),
        (line("x" * 513).encode(), "invalid_custom_id", 1),
        (b'{"custom_id": "a\\ud800", "method": "POST"}', "lone_surrogate", 1),
        (line("a").replace("I am", "\\ud800").encode(), "lone_surrogate", 1),
        (b'{"custom_id": "\xff"}', "invalid_json_line", 1),
        (b"[1, 2]", "invalid_json_line", 1),
        (b"{", "invalid_json_line", 1),
        (
            b'{"custom_id": "a", "method": "POST", "url": "' + CHAT.encode() + b'"}',
            "invalid_body",
            1,
        ),
        (line("a", []).encode(), "invalid_body", 1),
        (DEEP.encode(), "json_too_deep", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_wrong(client: OpenAI, data: bytes, code: str, number: int) -> None:
    batch = ended(client, started(client, data).id)
    assert batch.status == "failed"
    assert (batch.errors.data[0].code, batch.errors.data[0].line) == (code, number)
    assert (batch.output_file_id, batch.error_file_id) == (None, None)


def test_a_body_that_is_nested_too_deeply_fails_its_line_alone(client: OpenAI) -> None:
    deep = line("a", {"model": "sim-echo", "messages": json.loads("[" * 200 + "]" * 200)})
    batch = ended(client, started(client, f"{deep}\n{line('b')}".encode()).id)
    assert batch.status == "completed", batch.errors
    (failed,) = content(client, batch.error_file_id)
    assert failed["response"]["body"]["error"]["code"] == "json_too_deep"
    assert len(content(client, batch.output_file_id)) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"endpoint": "/v1/nothing"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file_none"}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, None),
        ({"input_file_id": None}, "input_file_id"),
    ],
)
def test_wishes_that_are_wrong(served: Served, body: dict[str, Any], param: str | None) -> None:
    said = {"input_file_id": "f", "endpoint": CHAT, "completion_window": "24h", **body}
    status, _, told = ask(served, "POST", "/v1/batches", body=json.dumps(said).encode())
    assert status in (400, 404)
    assert json.loads(told)["error"]["param"] == (param or "output_expires_after.seconds")


def test_a_file_for_something_else_is_no_batch(client: OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", b"{}"), purpose="user_data")
    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    assert caught.value.param == "input_file_id"


def test_one_key_one_batch(client: OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", line("a").encode()), purpose="batch")
    wish: Any = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    headers = {"Idempotency-Key": f"batch-{file.id}"}
    first = client.batches.create(**wish, extra_headers=headers)
    assert client.batches.create(**wish, extra_headers=headers).id == first.id
    with pytest.raises(openai.ConflictError):
        client.batches.create(**wish, metadata={"other": "yes"}, extra_headers=headers)
    ended(client, first.id)


# -- Anthropic's ------------------------------------------------------------------------------


def finished(claude: Anthropic, batch_id: str) -> Any:
    eventually(lambda: claude.messages.batches.retrieve(batch_id).processing_status == "ended")
    return claude.messages.batches.retrieve(batch_id)


def test_anthropics_batches(claude: Anthropic) -> None:
    made = claude.messages.batches.create(
        requests=[*(message(f"m-{n}", f"text {n}") for n in range(5)), message("bad", model="none")]
    )
    assert (made.type, made.processing_status, made.results_url) == (
        "message_batch",
        "in_progress",
        None,
    )
    assert made.request_counts.processing == 6
    assert (made.expires_at - made.created_at).total_seconds() == 86_400
    done = finished(claude, made.id)
    counts = done.request_counts
    assert (counts.processing, counts.succeeded, counts.errored) == (0, 5, 1)
    assert done.ended_at is not None
    results = {each.custom_id: each.result for each in claude.messages.batches.results(made.id)}
    for number in range(5):
        result: Any = results[f"m-{number}"]
        assert (result.type, result.message.content[0].text) == ("succeeded", f"text {number}")
        assert result.message.usage.service_tier == "batch"
    failed: Any = results["bad"]
    assert (failed.type, failed.error.error.type) == ("errored", "not_found_error")
    assert failed.error.request_id.startswith("req_")
    assert made.id in [each.id for each in claude.messages.batches.list(limit=1)]
    assert claude.messages.batches.delete(made.id).type == "message_batch_deleted"
    for call in (
        claude.messages.batches.retrieve,
        claude.messages.batches.delete,
        claude.messages.batches.cancel,
        claude.messages.batches.results,
    ):
        with pytest.raises(anthropic.NotFoundError):
            call(made.id)


def test_one_that_runs_is_not_deleted(claude: Anthropic) -> None:
    slow = message("slow", "[[sim tokens=2 first_ms=5000]]", model="sim-slow")
    made = claude.messages.batches.create(requests=[slow])
    with pytest.raises(anthropic.ConflictError):
        claude.messages.batches.delete(made.id)
    claude.messages.batches.cancel(made.id)


@pytest.mark.anyio
async def test_anthropics_async_client(served: Served) -> None:
    root = served.base_url.removesuffix("/v1")
    async with AsyncAnthropic(base_url=root, api_key=served.api_key) as claude:
        made = await claude.messages.batches.create(requests=[message("a"), message("b")])
        while made.processing_status != "ended":
            await asyncio.sleep(0.05)
            made = await claude.messages.batches.retrieve(made.id)
        ids = [each.custom_id async for each in await claude.messages.batches.results(made.id)]
        assert ids == ["a", "b"]
        listed = [each.id async for each in claude.messages.batches.list(limit=1)]
        assert made.id in listed


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "requests"),
        ("no", "requests"),
        ([message("a b")], "requests[0].custom_id"),
        ([message("x" * 65)], "requests[0].custom_id"),
        ([message("a"), message("a")], "requests[1].custom_id"),
        ([message("a", stream=True)], "requests[0].params.stream"),
        ([{"custom_id": "a", "params": 7}], "requests[0].params"),
        ([{"custom_id": "a"}], "requests[0].params"),
        (None, "requests"),
    ],
)
def test_batches_of_messages_that_are_wrong(served: Served, requests: Any, field: str) -> None:
    body = json.dumps({"requests": requests}).encode()
    status, head, told = ask(served, "POST", "/v1/messages/batches", body=body)
    document = json.loads(told)
    assert (status, document["type"]) == (400, "error")
    assert document["error"]["type"] == "invalid_request_error"
    assert document["error"]["details"]["field"] == field
    assert document["request_id"] == head["request-id"]


def test_one_key_one_batch_of_messages(claude: Anthropic) -> None:
    headers = {"Idempotency-Key": f"key-{time.time_ns()}"}
    first = claude.messages.batches.create(requests=[message("a")], extra_headers=headers)
    again = claude.messages.batches.create(requests=[message("a")], extra_headers=headers)
    assert first.id == again.id
    with pytest.raises(anthropic.ConflictError):
        claude.messages.batches.create(requests=[message("b")], extra_headers=headers)


# -- whose they are ---------------------------------------------------------------------------


def test_somebody_elses_is_not_there(served: Served, client: OpenAI, claude: Anthropic) -> None:
    theirs = another_projects(served)
    batch = ended(client, started(client, line("a").encode()).id)
    made = claude.messages.batches.create(requests=[message("a")])
    finished(claude, made.id)
    unknown = made.id[:-32] + "0" * 32
    routes = [
        ("GET", f"/v1/batches/{batch.id}", NO_ID),
        ("POST", f"/v1/batches/{batch.id}/cancel", NO_ID),
        ("GET", f"/v1/messages/batches/{made.id}", unknown),
        ("DELETE", f"/v1/messages/batches/{made.id}", unknown),
        ("POST", f"/v1/messages/batches/{made.id}/cancel", unknown),
        ("GET", f"/v1/messages/batches/{made.id}/results", unknown),
        # One kind is no way to the other.
        ("GET", f"/v1/batches/{made.id}", NO_ID),
        ("GET", f"/v1/messages/batches/{batch.id}", unknown),
    ]
    header = f"Authorization: Bearer {theirs}"
    for method, path, none in routes:
        found_id = batch.id if batch.id in path else made.id
        status, _, told = ask(served, method, path, header)
        status_of_none, _, none_told = ask(served, method, path.replace(found_id, none), header)
        assert status == status_of_none == 404

        def bare(body: bytes, of: str) -> str:
            document = json.loads(body)
            document.pop("request_id", None)
            return json.dumps(document).replace(of, "ID")

        assert bare(told, found_id) == bare(none_told, none), path
    for path in ("/v1/batches", "/v1/messages/batches"):
        assert json.loads(ask(served, "GET", path, header)[2])["data"] == []
    body = {"input_file_id": batch.input_file_id, "endpoint": CHAT, "completion_window": "24h"}
    status, _, told = ask(served, "POST", "/v1/batches", header, body=json.dumps(body).encode())
    assert (status, code_of(told)) == (404, "resource_not_found")


# -- on a server of their own -----------------------------------------------------------------


def running(served: Served, batch_id: str, least: int = 1) -> None:
    eventually(lambda: served.cli("batch", "show", batch_id)["running"] >= least)


def test_cancelled(serve: Serve, tmp_path: Path) -> None:
    served = serve("--simulated", env={**LIGHT, "PORTICO_BATCHES_AT_ONCE": "2"})
    with client_of(served) as client:
        quick = {
            "model": "sim-slow",
            "messages": [{"role": "user", "content": "[[sim tokens=2 first_ms=1500]]"}],
        }
        data = "\n".join(line(f"s{n}", quick) for n in range(12)).encode()
        batch = started(client, data)
        running(served, batch.id, 2)
        assert served.cli("batch", "list")["batches"][0]["status"] == "in_progress"
        batch = client.batches.cancel(batch.id)
        assert batch.status == "cancelling"
        batch = ended(client, batch.id)
        counts = batch.request_counts
        assert (batch.status, counts.total) == ("cancelled", 12)
        done, failed = content(client, batch.output_file_id), content(client, batch.error_file_id)
        assert len(done) == counts.completed >= 2, "what was under way is answered"
        assert len(failed) == counts.failed == 12 - len(done)
        assert {each["error"]["code"] for each in failed} == {"batch_cancelled"}
        other = started(client, data)
        running(served, other.id)
        assert served.cli("batch", "cancel", other.id)["status"] == "cancelling"
        assert ended(client, other.id).status == "cancelled"


def test_expired(serve: Serve) -> None:
    env = {**LIGHT, "PORTICO_BATCHES_AT_ONCE": "1", "PORTICO_BATCHES_WINDOW_S": "1.5"}
    served = serve("--simulated", env=env)
    with client_of(served) as client, claude_of(served) as claude:
        slow = {
            "model": "sim-slow",
            "messages": [{"role": "user", "content": "[[sim tokens=2 first_ms=1000]]"}],
        }
        batch = ended(
            client, started(client, "\n".join(line(f"s{n}", slow) for n in range(5)).encode()).id
        )
        assert batch.status == "expired"
        done, failed = content(client, batch.output_file_id), content(client, batch.error_file_id)
        assert 1 <= len(done) < 5
        assert len(done) + len(failed) == 5
        assert {each["error"]["code"] for each in failed} == {"batch_expired"}
        text = "[[sim tokens=2 first_ms=1000]]"
        made = claude.messages.batches.create(
            requests=[message(f"m{n}", text, model="sim-slow") for n in range(5)]
        )
        counts = finished(claude, made.id).request_counts
        assert counts.succeeded >= 1
        assert counts.expired == 5 - counts.succeeded
        kinds = {each.result.type for each in claude.messages.batches.results(made.id)}
        assert kinds == {"succeeded", "expired"}


def test_the_file_of_a_batch_that_runs_may_go(serve: Serve) -> None:
    served = serve("--simulated", env={**LIGHT, "PORTICO_BATCHES_AT_ONCE": "1"})
    with client_of(served) as client:
        batch = started(client, "\n".join(line(f"s{n}") for n in range(60)).encode())
        running_or_over = ("in_progress", "finalizing", "completed")
        eventually(lambda: client.batches.retrieve(batch.id).status in running_or_over)
        client.files.delete(batch.input_file_id)
        assert ended(client, batch.id).request_counts.completed == 60


def test_a_key_that_is_revoked_and_a_project_that_keeps_nothing(serve: Serve) -> None:
    served = serve("--simulated", env={**LIGHT, "PORTICO_BATCHES_AT_ONCE": "1"})
    project = served.cli("project", "list")["projects"][0]["id"]
    key = served.cli("key", "create", "--project", project)
    slow = {
        "model": "sim-slow",
        "messages": [{"role": "user", "content": "[[sim tokens=2 first_ms=700]]"}],
    }
    data = "\n".join(line(f"s{n}", slow) for n in range(8)).encode()
    with client_of(served) as client:
        with OpenAI(base_url=served.base_url, api_key=key["api_key"]) as other:
            batch = started(other, data)
        eventually(lambda: served.cli("batch", "show", batch.id)["succeeded"] >= 1)
        served.cli("key", "revoke", key["id"])
        batch = ended(client, batch.id)
        assert batch.status == "completed"
        failed = content(client, batch.error_file_id)
        assert {each["response"]["body"]["error"]["code"] for each in failed} == {"api_key_revoked"}
        assert len(failed) + len(content(client, batch.output_file_id)) == 8
        batch = started(client, data)
        eventually(lambda: served.cli("batch", "show", batch.id)["succeeded"] >= 1)
        served.cli("project", "set", project, "--retention", "zero")
        batch = ended(client, batch.id)
        assert (batch.status, batch.errors.data[0].code) == ("failed", "zero_retention")
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.batches.create(input_file_id="file_x", endpoint=CHAT, completion_window="24h")
        assert caught.value.code == "zero_retention"
    with sqlite3.connect(served.data_dir / "portico.db") as database:
        left = database.execute(
            "SELECT count(*) FROM batch_line WHERE batch_id = ? AND (answer IS NOT NULL OR "
            "request IS NOT NULL)",
            (batch.id,),
        ).fetchone()
    assert left == (0,)


# -- money ------------------------------------------------------------------------------------


def test_lines_are_charged_at_the_batch_price_and_nothing_is_charged_twice(serve: Serve) -> None:
    served = serve("--simulated", env=LIGHT)
    database = sqlite3.connect(served.data_dir / "portico.db")
    (organisation,) = database.execute("SELECT id FROM organisation").fetchone()
    served.cli("terms", "set", organisation, "--kind", "prepaid")
    for model in ("sim-lorem", "sim-slow"):
        served.cli("price", "set", model, "--input", "1", "--output", "10")
    tier = ("--tier", "batch", "--input", "0.5", "--output", "5")
    served.cli("price", "set", "sim-lorem", *tier)
    served.cli("credit", "grant", organisation, "--usd", "0.01")
    with client_of(served) as client:
        eventually(lambda: client.get("/balance", cast_to=dict[str, Any])["terms"] == "prepaid")
        eventually(lambda: len(client.get("/prices", cast_to=dict[str, Any])["data"]) == 6)

        def asks(model: str, tokens: int) -> dict[str, Any]:
            said = [{"role": "user", "content": f"[[sim tokens={tokens}]]"}]
            return {"model": model, "messages": said, "max_completion_tokens": tokens}

        # 0.01 USD are 2,000 tokens of output at 5 USD a million.
        lines = [line(f"c{n}", asks("sim-lorem", 150)) for n in range(16)]
        lines.append(line("unsold", asks("sim-slow", 10)))
        batch = ended(client, started(client, "\n".join(lines).encode()).id)
        done = content(client, batch.output_file_id)
        failed = {
            each["custom_id"]: each["response"]["body"]["error"]["code"]
            for each in content(client, batch.error_file_id)
        }
    assert batch.status == "completed"
    assert len(done) + len(failed) == 17
    assert failed.pop("unsold") == "unknown_service_tier"
    assert len(done) in (12, 13), "as many as there was money for"
    assert set(failed.values()) == {"credit_balance_exhausted"}
    charges = database.execute("SELECT id, tier, net_nano FROM charge").fetchall()
    assert {each["id"] for each in done} == {row[0] for row in charges}
    assert {row[1] for row in charges} == {"batch"}
    used = database.execute(
        "SELECT sum(input_text) * 500 + sum(output_text) * 5000 FROM usage_record "
        "WHERE outcome = 'completed'"
    ).fetchone()
    assert sum(row[2] for row in charges) == used[0]
    assert served.cli("ledger", "audit")["ok"]


# -- killed -----------------------------------------------------------------------------------


def far_enough(client: OpenAI, batch_id: str, least: int) -> None:
    def is_far() -> bool:
        counts = client.batches.retrieve(batch_id).request_counts
        return counts is not None and counts.completed >= least

    eventually(is_far, LONG_S)


def killed_on_the_way(serve: Serve, folder: Path, count: int, kills: int) -> None:
    """Law: each line is answered once, and there is one completed record of each."""
    served = serve("--simulated", data_dir=folder, env=LIGHT)
    key, client = served.api_key, client_of(served)
    said = "[[sim delay_ms=2]] I am"

    def asks(n: int) -> dict[str, Any]:
        return {"model": "sim-echo", "messages": [{"role": "user", "content": f"{said} {n}"}]}

    batch = started(client, "\n".join(line(f"c{n}", asks(n)) for n in range(count)).encode())
    for kill in range(1, kills + 1):
        far_enough(client, batch.id, count * kill // (kills + 1))
        client.close()
        served.process.kill()
        served.process.wait(30)
        served = serve("--simulated", data_dir=folder, env=LIGHT)
        client = OpenAI(base_url=served.base_url, api_key=key, max_retries=0)
    eventually(lambda: client.batches.retrieve(batch.id).status in OVER, LONG_S)
    batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    answers = content(client, batch.output_file_id)
    client.close()
    assert sorted(each["custom_id"] for each in answers) == sorted(f"c{n}" for n in range(count))
    for each in answers:
        text = each["response"]["body"]["choices"][0]["message"]["content"]
        assert text.split()[-1] == each["custom_id"][1:]
    database = sqlite3.connect(folder / "portico.db")
    records = database.execute("SELECT id FROM usage_record WHERE outcome = 'completed'").fetchall()
    assert sorted(row[0] for row in records) == sorted(each["id"] for each in answers)
    assert database.execute("SELECT count(*) FROM hold WHERE state = 'open'").fetchone() == (0,)


def test_killed_on_the_way(serve: Serve, tmp_path: Path) -> None:
    killed_on_the_way(serve, tmp_path / "data", 200, 2)


@pytest.mark.long
def test_killed_on_the_way_of_ten_thousand(serve: Serve, tmp_path: Path) -> None:
    killed_on_the_way(serve, tmp_path / "data", 10_000, 3)


# -- limits and a disk that will not ----------------------------------------------------------


def test_limits(serve: Serve) -> None:
    limits = {"LINES_MAX": "3", "LINE_BYTES_MAX": "1024", "FILE_BYTES_MAX": "8000", "OPEN_MAX": "1"}
    env = {f"PORTICO_BATCHES_{name}": said for name, said in limits.items()}
    served = serve("--simulated", env={**LIGHT, **env})
    with client_of(served) as client, claude_of(served) as claude:

        def code_of_errors(data: str) -> tuple[str | None, int | None]:
            batch = ended(client, started(client, data.encode()).id)
            assert batch.status == "failed"
            return batch.errors.data[0].code, batch.errors.data[0].line

        assert code_of_errors("\n".join(line(f"c{n}") for n in range(4))) == ("too_many_lines", 4)
        assert code_of_errors("\n" * 200 + line("a")) == ("too_many_lines", 57)
        assert code_of_errors(line("a", {"x": "y" * 1024})) == ("line_too_large", 1)
        assert code_of_errors(line("a") + "\n" + "z" * 3_000) == ("line_too_large", 2)
        with pytest.raises(openai.APIStatusError) as large:
            started(client, b" " * 8_001)
        assert (large.value.status_code, large.value.code) == (413, "body_too_large")
        many: Any = [message(f"m{n}") for n in range(4)]
        with pytest.raises(anthropic.BadRequestError, match="it must have 1 to 3"):
            claude.messages.batches.create(requests=many)
        with pytest.raises(anthropic.BadRequestError, match="params"):
            claude.messages.batches.create(requests=[message("a", "y" * 1024)])
        slow = "[[sim tokens=2 first_ms=2000]]"
        batch = claude.messages.batches.create(requests=[message("a", slow, model="sim-slow")])
        with pytest.raises(openai.RateLimitError) as full:
            started(client, line("a").encode())
        assert full.value.code == "batches_full"
        finished(claude, batch.id)
        assert ended(client, started(client, line("a").encode()).id).status == "completed"


def test_a_locked_database_loses_no_line(serve: Serve) -> None:
    served = serve("--simulated", env={**LIGHT, "PORTICO_BATCHES_AT_ONCE": "4"})
    with client_of(served) as client:
        slow = {
            "model": "sim-slow",
            "messages": [{"role": "user", "content": "[[sim tokens=2 first_ms=600]]"}],
        }
        data = "\n".join(line(f"s{n}", slow) for n in range(16)).encode()
        batch = started(client, data)
        running(served, batch.id, 4)
        lock = sqlite3.connect(served.data_dir / "portico.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            eventually(lambda: ask(served, "GET", "/readyz")[0] == 503)
        finally:
            lock.execute("ROLLBACK")
        batch = ended(client, batch.id)
        answers = content(client, batch.output_file_id)
        assert (batch.status, batch.error_file_id) == ("completed", None)
        assert len(answers) == 16
        completed = lock.execute("SELECT id FROM usage_record WHERE outcome = 'completed'")
        assert {row[0] for row in completed} == {each["id"] for each in answers}
        lock.close()

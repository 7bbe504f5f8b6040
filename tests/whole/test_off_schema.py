"""An engine without a grammar, and callers who were promised a shape: told in their own words."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.whole.conftest import Served, end, start
from tests.whole.hi import saying_hi
from tests.whole.wire import eventually, post

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
NAMED = {"name": "n", "schema": SCHEMA, "strict": True}
HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {
    "model": "m",
    "messages": HELLO,
    "response_format": {"type": "json_schema", "json_schema": NAMED},
}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "responses": (
        "/v1/responses",
        {
            "model": "m",
            "input": "Hello",
            "store": False,
            "text": {"format": {"type": "json_schema", **NAMED}},
        },
    ),
    "messages": (
        "/v1/messages",
        {
            "model": "m",
            "messages": HELLO,
            "max_tokens": 9,
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
    ),
}
LAST = {"chat": b'"error":{', "responses": b"event: response.failed", "messages": b"event: error"}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Before an engine of no kind that writes by a grammar."""
    env = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_DRAIN_S": "0"}
    with saying_hi({"id": "m", "owned_by": "somebody"}) as behind:
        data = tmp_path_factory.mktemp("front") / "data"
        running = start(data, "--upstream", behind.base_url, env=env)
        yield running
        end(running)


@pytest.mark.parametrize("dialect", list(ASKED))
def test_a_whole_answer_off_its_schema_is_a_refusal(front: Served, dialect: str) -> None:
    path, body = ASKED[dialect]
    status, headers, said = post(front, path, json.dumps(body).encode())
    error = json.loads(said)["error"]
    assert status == 502
    assert "it is not JSON" in error["message"]
    assert "Hi" not in error["message"]
    assert "portico-cost-nano-usd" not in headers


@pytest.mark.parametrize("dialect", list(ASKED))
def test_a_stream_off_its_schema_ends_in_its_dialects_failure(front: Served, dialect: str) -> None:
    path, body = ASKED[dialect]
    status, _, whole = post(front, path, json.dumps({**body, "stream": True}).encode())
    # While nothing is out there is still a status; Chat has nothing to say before the first text.
    assert status == 200 or (status, dialect) == (502, "chat")
    assert LAST[dialect] in whole
    assert b"does not follow the schema" in whole
    assert not any(good in whole for good in (b"response.completed", b"message_stop"))


def test_it_is_on_the_record_as_what_it_was(front: Served) -> None:
    path, body = ASKED["chat"]
    post(front, path, json.dumps(body).encode())
    record = front.cli("usage", "--list", "1")["records"][0]
    assert (record["outcome"], record["output_tokens"]) == ("off_schema", 1)


def test_a_line_of_a_batch_is_made_once(front: Served) -> None:
    """What was made is paid for, in its shape or not: another try would be paid for, too."""
    before = len(off_schema(front))
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
    with OpenAI(api_key=front.api_key, base_url=front.base_url, max_retries=0) as client:
        file = client.files.create(file=("a.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        eventually(lambda: client.batches.retrieve(batch.id).status == "completed")
        told = client.files.content(client.batches.retrieve(batch.id).error_file_id or "").text
    assert json.loads(told)["response"]["body"]["error"]["code"] == "schema_not_followed"
    assert len(off_schema(front)) == before + 1


def test_a_response_in_the_background_is_made_once(front: Served) -> None:
    before = len(off_schema(front))
    path, body = ASKED["responses"]
    status, _, said = post(
        front, path, json.dumps({**body, "store": True, "background": True}).encode()
    )
    assert status == 200
    response_id = json.loads(said)["id"]
    with OpenAI(api_key=front.api_key, base_url=front.base_url, max_retries=0) as client:
        eventually(lambda: client.responses.retrieve(response_id).status == "failed")
    assert len(off_schema(front)) == before + 1


def off_schema(front: Served) -> list[Any]:
    records = front.cli("usage", "--list", "100")["records"]
    return [each for each in records if each["outcome"] == "off_schema"]

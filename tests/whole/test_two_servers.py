"""Two servers on one PostgreSQL: what was begun through one is there, and can be ended, through the
other."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openai
import pytest

from portico.db.database import Database, connect_database
from tests.db.databases import PostgresServer
from tests.whole.conftest import Served, end, start
from tests.whole.wire import eventually

ECHO = "sim-echo"
SLOW = "[[sim tokens=2000 delay_ms=25]]"
BRIEF = "[[sim tokens=40 delay_ms=25]]"
CHAT: Any = "/v1/chat/completions"


@dataclass
class Pair:
    """one, other: the same key at two servers.  database: what both of them write to.
    first: behind `one`."""

    one: openai.OpenAI
    other: openai.OpenAI
    database: Database
    first: Served

    def value(self, sql: str) -> Any:
        return self.database.read(lambda c: c.exec_driver_sql(sql).scalar())

    def settled(self) -> bool:
        return bool(self.value("SELECT count(*) FROM usage_record WHERE outcome = 'running'") == 0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Pair]:
    with two_servers(tmp_path_factory.mktemp("two"), postgres) as made:
        yield made


@contextmanager
def two_servers(folder: Path, postgres: PostgresServer) -> Iterator[Pair]:
    url = postgres.new_url()
    env = {
        "PORTICO_ENGINE_ENABLED": "false",
        "PORTICO_DATABASE_URL": url,
        "PORTICO_FILES_FOLDER": str(folder / "files"),
    }
    first = start(folder / "one", "--simulated", env=env)
    (folder / "other").mkdir()
    for name in ("pepper", "receipt-keys"):  # as docs/guides/postgresql.md says
        shutil.copy2(folder / "one" / name, folder / "other" / name)
    second = start(folder / "other", "--simulated", env=env)
    second = replace(second, api_key=first.api_key)
    with client_of(first) as one, client_of(second) as other:
        yield Pair(one, other, connect_database(folder / "one", url), first)
    for each in (first, second):
        end(each)
    postgres.drop(url)


def client_of(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.base_url, api_key=served.api_key, max_retries=0)


def ask(client: openai.OpenAI, words: str, **more: Any) -> Any:
    return client.responses.create(model=ECHO, input=words, background=True, **more)


def state(pair: Pair, response_id: str) -> Any:
    return pair.value(f"SELECT state FROM response WHERE id = '{response_id}'")


def test_what_is_kept_through_one_is_there_through_the_other(pair: Pair) -> None:
    first = pair.one.responses.create(model=ECHO, input="one")
    assert pair.other.responses.retrieve(first.id).output_text == "one"
    second = pair.other.responses.create(model=ECHO, input="two", previous_response_id=first.id)
    chat = pair.one.conversations.create()
    third = pair.other.responses.create(model=ECHO, input="three", conversation=chat.id)
    items = pair.one.conversations.items.list(chat.id, order="asc").data
    assert [each.type for each in items] == ["message", "message"]
    for made in (first, second, third):
        pair.other.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            pair.one.responses.retrieve(made.id)
    pair.other.conversations.delete(chat.id)
    with pytest.raises(openai.NotFoundError):
        pair.one.responses.create(model=ECHO, input="x", conversation=chat.id)


def test_an_upload_goes_to_whoever_comes(pair: Pair) -> None:
    upload = pair.one.uploads.create(
        bytes=6, filename="a.txt", mime_type="text/plain", purpose="user_data"
    )
    parts = [
        each.uploads.parts.create(upload.id, data=data).id
        for each, data in ((pair.other, b"abc"), (pair.one, b"def"))
    ]
    done = pair.other.uploads.complete(upload.id, part_ids=parts)
    assert done.file is not None
    assert pair.one.files.content(done.file.id).content == b"abcdef"
    part: Any = {"type": "input_file", "file_id": done.file.id}
    asked: Any = [{"role": "user", "content": [part]}]
    assert "abcdef" in pair.one.responses.create(model=ECHO, input=asked).output_text
    pair.other.files.delete(done.file.id)
    with pytest.raises(openai.NotFoundError):
        pair.one.files.content(done.file.id)


def test_what_one_makes_is_followed_through_the_other(pair: Pair) -> None:
    stream = ask(pair.one, BRIEF, stream=True)
    made = next(stream).response.id
    eventually(lambda: pair.other.responses.retrieve(made).status == "in_progress")
    with ThreadPoolExecutor(1) as apart:
        elsewhere = apart.submit(lambda: list(pair.other.responses.retrieve(made, stream=True)))
        here = [each.to_dict() for each in stream]
        there = [each.to_dict() for each in elsewhere.result(30)]
    assert there[1:] == here
    assert there[-1]["type"] == "response.completed"
    rest = pair.other.responses.retrieve(made, stream=True, starting_after=5)
    assert [each.to_dict() for each in rest] == there[6:]


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_what_one_makes_is_ended_through_the_other(pair: Pair, way: str) -> None:
    made = ask(pair.one, SLOW)
    eventually(lambda: state(pair, made.id) == "in_progress")
    request = pair.value(f"SELECT request_id FROM response WHERE id = '{made.id}'")
    if way == "cancel":
        assert pair.other.responses.cancel(made.id).status == "cancelled"
        assert pair.one.responses.retrieve(made.id).status == "cancelled"
    else:
        pair.other.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            pair.one.responses.retrieve(made.id)
    sql = f"SELECT outcome FROM usage_record WHERE id = '{request}'"
    eventually(lambda: pair.value(sql) not in (None, "running"))
    assert pair.value(sql) == "client_gone", "it was not made to its end"
    assert state(pair, made.id) == ("cancelled" if way == "cancel" else None)
    sql = f"SELECT count(*) FROM response_event WHERE response_id = '{made.id}'"
    assert pair.value(sql) == 0


def test_one_key_at_both_is_one_response(pair: Pair) -> None:
    headers = {"Idempotency-Key": "at-both"}
    with ThreadPoolExecutor(8) as crowd:
        asked = [
            crowd.submit(ask, each, "Once", extra_headers=headers)
            for each in (pair.one, pair.other) * 4
        ]
        assert len({each.result(30).id for each in asked}) == 1


def test_a_conversation_has_one_speaker_at_both(pair: Pair) -> None:
    chat = pair.one.conversations.create()
    speaking = pair.one.responses.create(model=ECHO, input=BRIEF, conversation=chat.id, stream=True)
    next(speaking)
    with pytest.raises(openai.APIStatusError) as refused:
        pair.other.responses.create(model=ECHO, input="me too", conversation=chat.id)
    assert refused.value.code == "conversation_locked"
    item: Any = {"type": "message", "role": "user", "content": "me too"}
    with pytest.raises(openai.APIStatusError) as refused:
        pair.other.conversations.items.create(chat.id, items=[item])
    assert refused.value.code == "conversation_locked"
    assert list(speaking)[-1].type == "response.completed"
    told = pair.other.responses.create(model=ECHO, input="now", conversation=chat.id)
    assert told.output_text == "now"
    assert len(pair.one.conversations.items.list(chat.id).data) == 4


def test_a_batch_of_one_is_cancelled_through_the_other(pair: Pair) -> None:
    """Each line is answered or cancelled, once, and each answer charged once."""
    before = pair.value("SELECT count(*) FROM usage_record WHERE outcome = 'completed'")
    lines = [line(f"quick-{at}", "Hello") for at in range(4)]
    lines += [line(f"slow-{at}", BRIEF) for at in range(200)]
    file = pair.one.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = pair.other.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    for each in (pair.one, pair.other):

        def counted(client: openai.OpenAI = each) -> bool:
            found = client.batches.retrieve(batch.id).request_counts
            return found is not None and found.completed == 4

        eventually(counted)
    assert pair.one.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    eventually(lambda: pair.one.batches.retrieve(batch.id).status == "cancelled", 60)
    told = pair.one.batches.retrieve(batch.id)
    assert told == pair.other.batches.retrieve(batch.id)
    assert told.output_file_id is not None
    answered = pair.one.files.content(told.output_file_id).text.splitlines()
    names = [json.loads(each)["custom_id"] for each in answered]
    assert len(names) == len(set(names)) < 204
    assert {f"quick-{at}" for at in range(4)} <= set(names)
    eventually(pair.settled)
    after = pair.value("SELECT count(*) FROM usage_record WHERE outcome = 'completed'")
    assert after - before == len(names)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_what_one_was_killed_over_is_ended_by_the_other(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """Once each, and paid once each: responses in the background, and a batch."""
    with two_servers(tmp_path, postgres) as pair:
        lines = "\n".join(line(f"l-{at}", BRIEF) for at in range(300)).encode()
        file = pair.one.files.create(file=("in.jsonl", lines), purpose="batch")
        batch = pair.one.batches.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="24h"
        )
        made = [ask(pair.one, BRIEF).id for _ in range(40)]
        eventually(lambda: {state(pair, each) for each in made} >= {"in_progress"})
        eventually(lambda: pair.value("SELECT count(*) FROM batch_line WHERE status = 200") > 0)
        pair.first.process.kill()
        pair.first.process.wait()
        assert {state(pair, each) for each in made} != {"completed"}, "nothing was left to be done"
        eventually(lambda: pair.other.batches.retrieve(batch.id).status == "completed", 200)
        eventually(lambda: {state(pair, each) for each in made} == {"completed"}, 200)
        output = pair.other.batches.retrieve(batch.id).output_file_id or ""
        answered = pair.other.files.content(output).text.splitlines()
        assert len({json.loads(each)["custom_id"] for each in answered}) == len(answered) == 300
        sql = "SELECT count(*) FROM usage_record WHERE outcome = 'completed'"
        assert pair.value(sql) == 340


def line(custom_id: str, words: str) -> str:
    body = {"model": ECHO, "messages": [{"role": "user", "content": words}]}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body})

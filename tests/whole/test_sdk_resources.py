"""Every method that the official SDKs have for what developers keep, waiting and in an event loop: it
is called, and what it gives is what its types say.

A method that a newer SDK adds fails this until it is called here.
"""

import inspect
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.whole.conftest import Served

DEMO, ECHO = "portico-demo", "sim-echo"
HELLO: Any = [{"role": "user", "content": "Hello"}]
TEXT: Any = ("a.txt", b"0123456789", "text/plain")
UPLOAD: Any = {"bytes": 6, "filename": "a", "mime_type": "text/plain", "purpose": "user_data"}


class Calls:
    """Calls methods of a client, in the same way of one that waits and of one in an event loop; what
    can be gone through is gone through to its end.  made: their names, by resource."""

    def __init__(self, portal: BlockingPortal | None) -> None:
        self.made: dict[type, set[str]] = {}
        self._portal = portal

    def __call__(self, resource: Any, name: str, *args: Any, **fields: Any) -> Any:
        self.made.setdefault(type(resource), set()).add(name)
        method = getattr(resource, name)
        if self._portal is None:
            found = _finished(method(*args, **fields))
        else:
            found = self._portal.call(_awaited, lambda: method(*args, **fields))
        for each in found if isinstance(found, list) else [found]:
            if isinstance(each, pydantic.BaseModel):
                _check(each)
        return found

    def until(self, is_over: Callable[[Any], bool], resource: Any, object_id: str) -> Any:
        """Looked at until it is over."""
        while not is_over(found := self(resource, "retrieve", object_id)):
            time.sleep(0.05)
        return found

    def check_all_of(self, *resources: Any) -> None:
        for resource in resources:
            there = {
                name
                for name, _ in inspect.getmembers(type(resource), inspect.isfunction)
                if not name.startswith("_")
            }
            assert self.made.get(type(resource)) == there


def _check(said: Any) -> None:
    """The SDKs take whatever comes; their types say what should."""
    if "Parsed" not in type(said).__name__:  # what their helpers make of it themselves
        type(said).model_validate(said.to_dict(warnings=False))


def _finished(found: Any) -> Any:
    if hasattr(found, "__enter__") and not isinstance(found, openai.Stream):
        with found as entered:
            return list(entered)
    return list(found) if _is_many(found, "__iter__") else found


async def _awaited(call: Callable[[], Any]) -> Any:
    found = call()
    if inspect.isawaitable(found) and not hasattr(found, "__aiter__"):
        found = await found
    if hasattr(found, "__aenter__") and not isinstance(found, openai.AsyncStream):
        async with found as entered:
            return [each async for each in entered]
    return [each async for each in found] if _is_many(found, "__aiter__") else found


def _is_many(found: Any, how: str) -> bool:
    """Pages are models that know the next one."""
    return hasattr(found, "iter_pages") or (
        hasattr(found, how) and not isinstance(found, pydantic.BaseModel | str)
    )


Making = tuple[Calls, Any, Any]


@pytest.fixture(params=["waiting", "in an event loop"])
def sdks(request: pytest.FixtureRequest, served: Served) -> Iterator[Making]:
    of: Any = {"api_key": served.api_key, "max_retries": 0, "timeout": 30}
    root = served.base_url.removesuffix("/v1")
    if request.param == "waiting":
        with (
            openai.OpenAI(base_url=served.base_url, **of) as client,
            anthropic.Anthropic(base_url=root, **of) as claude,
        ):
            yield Calls(None), client, claude
        return
    with start_blocking_portal() as portal:
        waiting = openai.AsyncOpenAI(base_url=served.base_url, **of)
        claudes = anthropic.AsyncAnthropic(base_url=root, **of)
        yield Calls(portal), waiting, claudes
        portal.call(waiting.close)
        portal.call(claudes.close)


def test_files_and_uploads(sdks: Making) -> None:
    call, client, claude = sdks
    files, uploads = client.files, client.uploads
    made = call(files, "create", file=TEXT, purpose="user_data")
    assert call(files, "retrieve", made.id) == made
    assert call(files, "wait_for_processing", made.id) == made
    assert made in call(files, "list", limit=2)
    assert call(files, "content", made.id).read() == TEXT[1]
    with pytest.warns(DeprecationWarning, match="should be used instead"):
        assert call(files, "retrieve_content", made.id) == TEXT[1].decode()
    assert call(files, "delete", made.id).deleted
    begun = call(uploads, "create", **UPLOAD)
    parts = [call(uploads.parts, "create", begun.id, data=data) for data in (b"abc", b"def")]
    whole = call(uploads, "complete", begun.id, part_ids=[part.id for part in parts])
    assert (whole.status, whole.file.bytes) == ("completed", 6)
    assert call(uploads, "cancel", call(uploads, "create", **UPLOAD).id).status == "cancelled"
    cut = {"mime_type": "text/plain", "purpose": "user_data", "part_size": 4}
    one = call(uploads, "upload_file_chunked", file=b"x" * 9, filename="x", bytes=9, **cut)
    assert one.file.bytes == 9
    theirs = claude.beta.files
    paper = call(theirs, "upload", file=TEXT)
    assert call(theirs, "retrieve_metadata", paper.id) == paper
    assert paper in call(theirs, "list", limit=2)
    assert call(theirs, "download", paper.id) is not None
    assert call(theirs, "delete", paper.id).type == "file_deleted"
    call.check_all_of(files, uploads, uploads.parts, theirs)


def test_responses_and_conversations(sdks: Making) -> None:
    call, client, _ = sdks
    responses, chats = client.responses, client.conversations
    first = call(responses, "create", model=DEMO, input="Hello", max_output_tokens=8)
    assert call(responses, "retrieve", first.id) == first
    assert call(responses, "parse", model=ECHO, input="Hi").output_text == "Hi"
    assert len(call(responses.input_items, "list", first.id)) == 1
    counted = call(responses.input_tokens, "count", model=DEMO, previous_response_id=first.id)
    assert counted.input_tokens > 0
    assert call(responses, "compact", model=ECHO, previous_response_id=first.id).output
    events = call(responses, "stream", model=ECHO, input="One two", background=True)
    numbers = [event.sequence_number for event in events]
    again = {"response_id": events[0].response.id, "starting_after": 3}
    assert [e.sequence_number for e in call(responses, "stream", **again)] == numbers[4:]
    waits = {"model": "sim-slow", "input": "[[sim tokens=400 delay_ms=25]]", "background": True}
    unwanted = call(responses, "create", **waits)
    assert call(responses, "cancel", unwanted.id).status == "cancelled"
    call(responses, "delete", unwanted.id)
    call.made[type(responses)].add("connect")  # see test_websocket.py
    chat = call(chats, "create", items=HELLO)
    assert call(chats, "retrieve", chat.id) == chat
    assert call(chats, "update", chat.id, metadata={"a": "b"}).metadata == {"a": "b"}
    item = call(chats.items, "create", chat.id, items=HELLO).data[0]
    assert call(chats.items, "retrieve", item.id, conversation_id=chat.id).id == item.id
    assert len(call(chats.items, "list", chat.id, limit=1)) == 2
    call(chats.items, "delete", item.id, conversation_id=chat.id)
    assert call(chats, "delete", chat.id).deleted
    call.check_all_of(responses, responses.input_items, responses.input_tokens, chats, chats.items)


def test_batches(sdks: Making) -> None:
    call, client, claude = sdks
    batches = client.batches
    body = {"model": ECHO, "messages": HELLO}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = call(client.files, "create", file=("a", json.dumps(line).encode()), purpose="batch")
    window: Any = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = call(batches, "create", input_file_id=file.id, **window)
    done = call.until(lambda it: it.completed_at is not None, batches, made.id)
    assert (done.request_counts.completed, done.model) == (1, ECHO)
    assert done in call(batches, "list", limit=1)
    slow = [{"role": "user", "content": "[[sim tokens=2 first_ms=1000]]"}]
    waits = {**line, "body": {"model": "sim-slow", "messages": slow}}
    file = call(client.files, "create", file=("a", json.dumps(waits).encode()), purpose="batch")
    made = call(batches, "create", input_file_id=file.id, **window)
    assert call(batches, "cancel", made.id).status in ("cancelling", "cancelled")
    for theirs in (claude.messages.batches, claude.beta.messages.batches):
        asked = [{"custom_id": "a", "params": {**body, "max_tokens": 9}}]
        begun = call(theirs, "create", requests=asked)
        over = call.until(lambda it: it.processing_status == "ended", theirs, begun.id)
        assert over.request_counts.succeeded == 1
        (result,) = call(theirs, "results", begun.id)
        assert result.result.message.content[0].text == "Hello"
        assert over in call(theirs, "list", limit=1)
        assert call(theirs, "cancel", begun.id).processing_status == "ended"
        assert call(theirs, "delete", begun.id).id == begun.id
    call.check_all_of(batches, claude.messages.batches, claude.beta.messages.batches)

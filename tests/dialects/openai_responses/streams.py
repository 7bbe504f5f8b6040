"""What every stream of Responses events must look like.  Used by every streamed test."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

DONE = "data: [DONE]"
TERMINAL = ("response.completed", "response.incomplete", "response.failed")
_MODEL: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

_RUNS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.reasoning_summary_text": "text",
    "response.reasoning_text": "text",
    "response.mcp_call_arguments": "arguments",
}
"""Runs of deltas, and where their `done` says all of it again."""
_REMOTE = ("response.mcp_call", "response.mcp_list_tools")
_WITHOUT_STATUS = ("mcp_list_tools", "mcp_approval_request")
_PARTS = ("response.content_part", "response.reasoning_summary_part")


def events_in(stream: bytes | str) -> list[dict[str, Any]]:
    """The events of a whole stream; comments are left out.  Checks the framing, byte by byte."""
    text = stream.decode() if isinstance(stream, bytes) else stream
    assert "\r" not in text
    assert text.endswith("\n\n")
    *blocks, last = [block for block in text.split("\n\n")[:-1] if not block.startswith(":")]
    assert last == DONE
    events = []
    for block in blocks:
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: {")
        event = json.loads(data.removeprefix("data: "))
        assert event["type"] == name.removeprefix("event: ")
        events.append(event)
    return events


@dataclass
class _Order:
    """The machine that a stream has to pass through."""

    next: int = 0
    item: dict[str, Any] | None = None
    part: tuple[str, int] | None = None
    run: list[str] | None = None
    items: list[dict[str, Any]] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        assert event["sequence_number"] == self.next, kind
        self.next += 1
        base, _, what = kind.rpartition(".")
        if kind == "response.in_progress":
            assert event["response"]["status"] == "in_progress"
        elif base == "response.output_item":
            self._item(what, event)
        elif base in _PARTS:
            self._part(base, what, event)
        elif base in _RUNS:
            self._run(base, what, event)
        elif base in _REMOTE:
            self._belongs(event)
            assert what in ("in_progress", "completed", "failed")
        else:
            raise AssertionError(f"{kind} has no place in a stream")

    def _item(self, what: str, event: dict[str, Any]) -> None:
        item = event["item"]
        assert event["output_index"] == len(self.items)
        if what == "added":
            assert self.item is None, "an item begins inside another"
            assert item["type"] in _WITHOUT_STATUS or item["status"] == "in_progress"
            self.item = item
            return
        assert self.item is not None, "an item is done that was not added"
        assert (self.part, self.run) == (None, None), "an item is done before its parts"
        assert (item["id"], item["type"]) == (self.item["id"], self.item["type"])
        ends = ("completed", "incomplete", *(("failed",) if item["type"] == "mcp_call" else ()))
        assert item["type"] in _WITHOUT_STATUS or item["status"] in ends
        self.items.append(item)
        self.item = None

    def _part(self, base: str, what: str, event: dict[str, Any]) -> None:
        place = (base, event["content_index" if base.endswith("content_part") else "summary_index"])
        self._belongs(event)
        if what == "added":
            assert self.part is None, "a part begins inside another"
            self.part = place
            return
        assert self.part == place
        assert self.run is None, "a part is done before its text"
        self.part = None

    def _run(self, base: str, what: str, event: dict[str, Any]) -> None:
        self._belongs(event)
        if base in ("response.output_text", "response.refusal", "response.reasoning_summary_text"):
            assert self.part is not None, "text outside any part"
        if what == "delta":
            self.run = [*(self.run or []), event["delta"]]
            return
        assert event[_RUNS[base]] == "".join(self.run or []), "done says something else"
        self.run = None

    def _belongs(self, event: dict[str, Any]) -> None:
        assert self.item is not None, "something outside any item"
        assert event["item_id"] == self.item["id"]
        assert event["output_index"] == len(self.items)


def check_stream(stream: bytes | str) -> list[dict[str, Any]]:
    """Framing, numbers, open and close, one terminal event, and the SDK's own models."""
    events = events_in(stream)
    for event in events:
        _MODEL.validate_python(event)
    first, *_ = events
    assert first["type"] == "response.created"
    *between, last = events[1:]
    order = _Order(next=1)
    assert between[0]["type"] == "response.in_progress"
    assert last["type"] in TERMINAL
    failed = last["type"] == "response.failed"
    if failed:
        error = between.pop()
        assert error["type"] == "error"
        assert error["error"]["message"] == error["message"]
        assert error["sequence_number"] == last["sequence_number"] - 1
    for event in between:
        order.take(event)
    assert last["sequence_number"] == len(events) - 1
    assert {event["response"]["id"] for event in (first, last)} == {first["response"]["id"]}
    check_response(last["response"])
    if not failed:
        assert order.item is None, "the stream ends inside an item"
        assert last["response"]["output"] == order.items
    return events


REQUIRED = re.findall(
    r"\w+",
    """
id object created_at completed_at status incomplete_details model previous_response_id instructions
output error tools tool_choice truncation parallel_tool_calls text top_p presence_penalty
frequency_penalty top_logprobs temperature reasoning usage max_output_tokens max_tool_calls store
background service_tier metadata safety_identifier prompt_cache_key
""",
)
NOT_NULL = re.findall(
    r"\w+",
    """
id object created_at status model output tools tool_choice truncation parallel_tool_calls text top_p
presence_penalty frequency_penalty top_logprobs temperature usage store background service_tier
metadata
""",
)


def check_response(response: dict[str, Any]) -> None:
    """Every key of 6.2 is there, and the SDK's own model reads it."""
    check_keys(response)
    Response.model_validate(response)


def check_keys(response: dict[str, Any]) -> None:
    """Every key of 6.2 is there, and what must not be null is not."""
    assert set(REQUIRED) <= set(response)
    assert [name for name in NOT_NULL if response[name] is None] == []
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens_details"]["cached_tokens"] <= usage["input_tokens"]
    assert usage["output_tokens_details"]["reasoning_tokens"] <= usage["output_tokens"]

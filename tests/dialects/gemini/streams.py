"""What every stream of the dialect must be: bytes first, then the order of what they say."""

import json
from collections.abc import Iterable
from typing import Any

from portico.canon.delta import Delta, Event
from portico.canon.prompt import Prompt
from portico.dialects.gemini.writer import writer_for

from .bodies import SIGNATURES, parsed


def streamed(prompt: Prompt, framing: str = "events") -> Prompt:
    prompt.stream = True
    prompt.framing = "events" if framing == "events" else "array"
    return prompt


def said(prompt: Prompt, deltas: Iterable[Delta]) -> bytes:
    """All that is written for `deltas`, checked."""
    writer = writer_for(prompt, "req_1", 0, SIGNATURES)
    writes = [writer.write(delta) for delta in deltas]
    if prompt.stream and prompt.framing == "events":
        for write in writes:
            events(write)  # a write never ends inside an event
    return b"".join(writes)


def deltas(*events: Event, **last: Any) -> list[Delta]:
    """One delta for each event; the last one ends it."""
    return [
        *(Delta(events=(event,)) for event in events[:-1]),
        Delta(events=events[-1:], last=True, **last),
    ]


def objects(prompt: Prompt, steps: Iterable[Delta]) -> list[dict[str, Any]]:
    """The objects of a stream of either framing, checked."""
    data = said(prompt, steps)
    found = events(data) if prompt.framing == "events" else json.loads(data)
    check(found)
    return list(found)


def whole(*events: Event, prompt: Prompt | None = None, **last: Any) -> dict[str, Any]:
    """The body that is written for `events`."""
    body: dict[str, Any] = json.loads(said(prompt or parsed(), deltas(*events, **last)))
    return body


def events(data: bytes) -> list[dict[str, Any]]:
    """Server-sent events as strictly as the strictest of Google's SDKs reads them."""
    assert b"\r" not in data
    found = []
    *lines, rest = data.split(b"\n")
    assert rest == b""
    for at, line in enumerate(lines):
        if not line:
            continue
        assert line.startswith(b"data: {"), line
        assert lines[at + 1] == b""
        found.append(json.loads(line.removeprefix(b"data: ")))
    return found


def check(found: list[dict[str, Any]]) -> None:
    """One answer: the same names throughout, the reasons and the usage in the last object alone."""
    assert found
    assert len({(one["responseId"], one["modelVersion"]) for one in found}) == 1
    for one in found[:-1]:
        assert "usageMetadata" not in one
        assert all("finishReason" not in candidate for candidate in one["candidates"])
    last = found[-1]
    usage = last["usageMetadata"]
    assert usage["totalTokenCount"] == sum(
        usage.get(name, 0)
        for name in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    )
    ended = [candidate["index"] for candidate in last["candidates"]]
    assert ended == list(range(len(ended)))
    assert all(candidate["finishReason"] for candidate in last["candidates"])
    for one in found:
        for candidate in one["candidates"]:
            check_candidate(candidate)


def check_candidate(candidate: dict[str, Any]) -> None:
    assert candidate["index"] >= 0
    assert candidate["content"]["role"] == "model"
    assert candidate["content"]["parts"]
    for part in candidate["content"]["parts"]:
        assert len({"text", "functionCall"} & set(part)) == 1
        if "functionCall" in part:
            assert isinstance(part["functionCall"]["args"], dict)


def parts(found: list[dict[str, Any]], index: int = 0) -> list[dict[str, Any]]:
    """Everything one candidate was given, but for empty text."""
    return [
        part
        for one in found
        for candidate in one["candidates"]
        if candidate["index"] == index
        for part in candidate["content"]["parts"]
        if part != {"text": ""}
    ]

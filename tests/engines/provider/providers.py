"""What the three providers send, event by event, in their own shapes; and what it means."""

import json
from dataclasses import dataclass, field
from typing import Any

from portico.canon.delta import (
    Event,
    Finished,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.usage import Meters
from portico.engines.provider.outbound import ProviderKind

KINDS: tuple[ProviderKind, ...] = ("anthropic", "gemini", "openai-responses")

HELLO = "Hé😀llo"


def compact(payload: Any) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def named(payload: dict[str, Any]) -> bytes:
    """As Anthropic and OpenAI frame it: the event's name is its type."""
    return b"event: " + payload["type"].encode() + b"\ndata: " + compact(payload) + b"\n\n"


def bare(payload: dict[str, Any]) -> bytes:
    return b"data: " + compact(payload) + b"\n\n"


# --- Anthropic -------------------------------------------------------------------------------------


def message_start(**usage: Any) -> bytes:
    said = {"input_tokens": 20, "output_tokens": 1, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": said}
    return named({"type": "message_start", "message": message})


def block(index: int, kind: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    begin = named({"type": "content_block_start", "index": index, "content_block": kind})
    pieces = [
        named({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas
    ]
    return begin + b"".join(pieces) + named({"type": "content_block_stop", "index": index})


def message_end(reason: str, **usage: Any) -> bytes:
    said = {"output_tokens": 40, **usage}
    delta = {"stop_reason": reason, "stop_sequence": None}
    over = named({"type": "message_delta", "delta": delta, "usage": said})
    return over + named({"type": "message_stop"})


def tool_use(index: int, name: str, *pieces: str) -> bytes:
    kind = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    return block(index, kind, *({"type": "input_json_delta", "partial_json": p} for p in pieces))


def text_block(index: int, *pieces: str) -> bytes:
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return block(index, {"type": "text", "text": ""}, *deltas)


ANTHROPIC = (
    message_start(
        cache_read_input_tokens=7,
        cache_creation_input_tokens=5,
        cache_creation={"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
    )
    + named({"type": "ping"})
    + block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "signature_delta", "signature": "c2ln"},
    )
    + text_block(1, HELLO)
    + tool_use(2, "look", '{"at":', '"x"}')
    + tool_use(3, "now")
    + message_end("tool_use", output_tokens_details={"thinking_tokens": 15})
)

# --- Gemini ----------------------------------------------------------------------------------------


def chunk(*parts: dict[str, Any], reason: str = "", **more: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return bare({"candidates": [candidate], "modelVersion": "gemini", **more})


GEMINI_USAGE = {
    "promptTokenCount": 32,
    "cachedContentTokenCount": 7,
    "candidatesTokenCount": 25,
    "thoughtsTokenCount": 15,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 22},
        {"modality": "IMAGE", "tokenCount": 10},
    ],
}
GEMINI = (
    chunk({"text": "Hm.", "thought": True}, usageMetadata={"promptTokenCount": 32})
    + chunk({"text": HELLO})
    + chunk(
        {"functionCall": {"name": "look", "args": {"at": "x"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "now", "args": {}}},
    )
    + chunk(reason="STOP", usageMetadata=GEMINI_USAGE)
)

# --- Responses -------------------------------------------------------------------------------------


@dataclass
class Numbered:
    """Events with their sequence numbers."""

    written: bytes = b""
    number: int = 0

    def add(self, type: str, **members: Any) -> "Numbered":
        self.written += named({"type": type, "sequence_number": self.number, **members})
        self.number += 1
        return self


def begun() -> Numbered:
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    return (
        Numbered()
        .add("response.created", response=response)
        .add("response.in_progress", response=response)
    )


def spoken(at: Numbered, index: int, text: str) -> Numbered:
    item = {"type": "message", "id": f"msg_{index}", "role": "assistant", "content": []}
    where = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = {"type": "output_text", "text": text, "annotations": []}
    return (
        at.add("response.output_item.added", output_index=index, item=item)
        .add("response.content_part.added", **where, part={**part, "text": ""})
        .add("response.output_text.delta", **where, delta=text, logprobs=[])
        .add("response.output_text.done", **where, text=text)
        .add("response.content_part.done", **where, part=part)
        .add("response.output_item.done", output_index=index, item={**item, "content": [part]})
    )


def called(at: Numbered, index: int, name: str, *pieces: str) -> Numbered:
    item = {"type": "function_call", "id": f"fc_{index}", "call_id": f"call_{index}", "name": name}
    where = {"item_id": item["id"], "output_index": index}
    at.add("response.output_item.added", output_index=index, item={**item, "arguments": ""})
    for piece in pieces:
        at.add("response.function_call_arguments.delta", **where, delta=piece)
    whole = "".join(pieces) or "{}"
    at.add("response.function_call_arguments.done", **where, arguments=whole)
    return at.add(
        "response.output_item.done", output_index=index, item={**item, "arguments": whole}
    )


def thought(at: Numbered, index: int, text: str, sealed: str) -> Numbered:
    item: dict[str, Any] = {"type": "reasoning", "id": f"rs_{index}", "summary": []}
    where = {"item_id": item["id"], "output_index": index, "summary_index": 0}
    part = {"type": "summary_text", "text": text}
    return (
        at.add("response.output_item.added", output_index=index, item=item)
        .add("response.reasoning_summary_part.added", **where, part={**part, "text": ""})
        .add("response.reasoning_summary_text.delta", **where, delta=text)
        .add("response.reasoning_summary_text.done", **where, text=text)
        .add("response.reasoning_summary_part.done", **where, part=part)
        .add(
            "response.output_item.done",
            output_index=index,
            item={**item, "summary": [part], "encrypted_content": sealed},
        )
    )


RESPONSES_USAGE = {
    "input_tokens": 32,
    "input_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 5},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 15},
    "total_tokens": 72,
}


def completed(at: Numbered, kind: str = "completed", **members: Any) -> bytes:
    response = {"object": "response", "status": kind, "usage": RESPONSES_USAGE, **members}
    return at.add(f"response.{kind}", response=response).written


def _responses() -> bytes:
    at = spoken(thought(begun(), 0, "Hm.", "c2ln"), 1, HELLO)
    return completed(called(called(at, 2, "look", '{"at":', '"x"}'), 3, "now"))


RESPONSES = _responses()

# --- all three -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Provider:
    """stream: thought, sealed thought, text, two calls at once, usage.  events: what it means; ids
    of calls are those of the provider, where it has any.  after: what its own callers get last.
    """

    stream: bytes
    events: tuple[Event, ...]
    meters: Meters
    refused: bytes
    refusal: tuple[Event, ...]
    only_text: bytes
    broken: bytes
    """An error object in the middle of a stream, after some text."""
    whole: dict[str, Any]
    models: dict[str, Any]
    terminal: bytes = b""
    left_out: tuple[bytes, ...] = field(default=())
    """Events that are not passed on."""


_CALLS = (
    ToolCallBegan(0, "toolu_2", "look"),
    ToolArguments(0, '{"at":'),
    ToolArguments(0, '"x"}'),
    ToolCallBegan(1, "toolu_3", "now"),
    ToolArguments(1, "{}"),
)
_RESPONSES_CALLS = (
    ToolCallBegan(0, "call_2", "look"),
    ToolArguments(0, '{"at":'),
    ToolArguments(0, '"x"}'),
    ToolCallBegan(1, "call_3", "now"),
    ToolArguments(1, "{}"),
)
_MESSAGE = {
    "type": "message",
    "role": "assistant",
    "stop_reason": "end_turn",
    "stop_sequence": None,
}

PROVIDERS: dict[ProviderKind, Provider] = {
    "anthropic": Provider(
        stream=ANTHROPIC,
        events=(
            Reasoning("Hm."),
            Sealed("c2ln", "anthropic"),
            Text(HELLO),
            *_CALLS,
            Finished("tool_calls", native="tool_use"),
        ),
        meters=Meters(
            input_text=20,
            input_cache_read=7,
            input_cache_write_5m=2,
            input_cache_write_1h=3,
            output_text=25,
            output_reasoning=15,
        ),
        refused=message_start() + text_block(0, "I can") + message_end("refusal"),
        refusal=(Text("I can"), Finished("refused", native="refusal")),
        only_text=message_start() + text_block(0, "Hi") + message_end("end_turn"),
        broken=message_start()
        + text_block(0, "Hi")
        + named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        whole={**_MESSAGE, "content": [{"type": "text", "text": "Hi"}]}
        | {"usage": {"input_tokens": 3, "output_tokens": 4}},
        models={"data": [{"id": "big", "max_input_tokens": 200_000, "max_tokens": 64_000}]},
        left_out=(named({"type": "ping"}),),
    ),
    "gemini": Provider(
        stream=GEMINI,
        events=(
            Reasoning("Hm.", summary=True),
            Text(HELLO),
            Sealed("c2ln", "gemini"),
            ToolCallBegan(0, "", "look"),
            ToolArguments(0, '{"at":"x"}'),
            ToolCallBegan(1, "", "now"),
            ToolArguments(1, "{}"),
            Finished("tool_calls", native="STOP"),
        ),
        meters=Meters(
            input_text=15,
            input_cache_read=7,
            input_image=10,
            output_text=25,
            output_reasoning=15,
        ),
        refused=bare(
            {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
        ),
        refusal=(Finished("content_filter", native="SAFETY"),),
        only_text=chunk({"text": "Hi"}) + chunk(reason="STOP", usageMetadata=GEMINI_USAGE),
        broken=chunk({"text": "Hi"})
        + bare({"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}}),
        whole={
            "candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4},
        },
        models={
            "models": [
                {"name": "models/big", "inputTokenLimit": 136_000, "outputTokenLimit": 64_000}
            ]
        },
    ),
    "openai-responses": Provider(
        stream=RESPONSES,
        events=(
            Reasoning("Hm.", summary=True),
            Sealed("c2ln", "openai"),
            Text(HELLO),
            *_RESPONSES_CALLS,
            Finished("tool_calls"),
        ),
        meters=Meters(
            input_text=20,
            input_cache_read=7,
            input_cache_write_5m=5,
            output_text=25,
            output_reasoning=15,
        ),
        refused=completed(
            begun().add("response.refusal.delta", output_index=0, content_index=0, delta="No.")
        ),
        refusal=(Refused("No."), Finished("refused")),
        only_text=completed(spoken(begun(), 0, "Hi")),
        broken=spoken(begun(), 0, "Hi")
        .add("error", code="server_is_overloaded", message="Busy", param=None)
        .written,
        whole={
            "object": "response",
            "status": "completed",
            "output": [],
            "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        },
        models={"data": [{"id": "big", "max_model_len": 200_000}]},
        terminal=b"data: [DONE]\n\n",
    ),
}

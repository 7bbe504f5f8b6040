"""POST /v1/responses/compact: a conversation made shorter, in one item that stands for it.

No model is asked, so nothing is charged: instructions and the last turns are kept as they are, up to
half of the model's context, and older turns are left out.  The item says how many items that were,
to the caller and to the model.
"""

from typing import Any

import msgspec

from portico.canon.prompt import Prompt
from portico.canon.trimming import Kind, Mark, last_steps, whole_turns
from portico.canon.usage import NOTHING
from portico.dialects.body import checked, json_object
from portico.dialects.openai_responses import items as wire
from portico.dialects.openai_responses.opening import Seals, typed
from portico.dialects.openai_responses.request import ResponsesRequest
from portico.dialects.openai_responses.usage import usage_of

CONTEXT_TOKENS = 32_768
"""Of a model that does not say."""
_SHARE = 2
"""What is kept takes at most this part of the context: a token is never shorter than a byte."""

_KINDS: dict[type, Kind] = {
    wire.Reasoning: "thought",
    wire.FunctionCall: "call",
    wire.CustomToolCall: "call",
    wire.FunctionCallOutput: "result",
    wire.CustomToolCallOutput: "result",
}


class Compactor:
    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def compact(
        self, prompt: Prompt, context_tokens: int | None, request_id: str, created_s: int
    ) -> dict[str, Any]:
        """The `response.compaction` object for the input of `prompt`.

        context_tokens: of the model, None where it does not say.  created_s: Unix time.
        """
        document = typed(json_object(prompt.body))
        request = checked(document, ResponsesRequest)
        given = document["input"]
        if isinstance(request.input, list):
            room = (context_tokens or CONTEXT_TOKENS) // _SHARE
            kept = _kept(_marks(request.input, given), room)
        else:
            given, kept = [_message("user", given)], [0]
        items, left_out = [given[at] for at in kept], len(given) - len(kept)
        if left_out:
            note = f"({left_out} earlier items of this conversation were left out.)"
            items.insert(_behind_instructions(items), _message("developer", note))
        seals = self._seals.of(prompt.project_id)
        expires_s = seals.expiry_s()
        sealed = seals.close("compaction", {"items": items}, expires_s)
        name = request_id.removeprefix("req_")
        return {
            "id": f"resp_{name}",
            "object": "response.compaction",
            "created_at": created_s,
            "output": [
                {
                    "id": f"cmp_{name}",
                    "type": "compaction",
                    "encrypted_content": sealed,
                    "portico_expires_at": expires_s,
                    "portico_items_left_out": left_out,
                }
            ],
            "usage": usage_of(NOTHING),
        }


def _kept(marks: list[Mark], room: int) -> list[int]:
    turns = whole_turns(marks, room)
    steps = last_steps([marks[at] for at in turns], room)
    fits = sum(marks[at].size for at in turns) <= room
    return turns if fits else [turns[at] for at in steps]


def _marks(items: list[wire.Item], given: list[Any]) -> list[Mark]:
    sizes = [len(msgspec.json.encode(item)) for item in given]
    return [Mark(_kind(item), size) for item, size in zip(items, sizes, strict=True)]


def _kind(item: wire.Item) -> Kind:
    if isinstance(item, wire.Message):
        if item.role == "assistant":
            return "said"
        return "question" if item.role == "user" else "instruction"
    return _KINDS.get(type(item), "said")


def _message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def _behind_instructions(items: list[Any]) -> int:
    """Where the first item stands that is no instruction."""
    for at, item in enumerate(items):
        if item.get("role") not in ("system", "developer"):
            return at
    return len(items)

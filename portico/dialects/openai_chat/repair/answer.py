"""An answer that is not streamed, put right the same way."""

from typing import Any

import msgspec

from portico.canon.delta import Delta
from portico.dialects.openai_chat.chunks import read_untyped
from portico.dialects.openai_chat.reading import reader
from portico.dialects.openai_chat.repair.calls import ToolCalls
from portico.dialects.openai_chat.repair.reasons import reason_of


def repair_answer(body: bytes) -> Delta:
    """Like reader.read_answer, with reasons computed, tool calls whole and choices numbered.

    Raises: BrokenAnswer.
    """
    delta = reader.read_answer(body)
    answer = read_untyped(body)
    choices = [_choice(c, at, str(answer.get("id"))) for at, c in enumerate(answer["choices"])]
    if choices == answer["choices"]:
        return delta
    delta.raw = msgspec.json.encode({**answer, "choices": choices})
    delta.finish = next((c["finish_reason"] for c in choices if c["index"] == 0), delta.finish)
    return delta


def _choice(said: dict[str, Any], position: int, id_: str) -> dict[str, Any]:
    index = said.get("index", position)
    message = {"role": "assistant", "content": None, **said["message"]}
    if not message["role"]:
        message["role"] = "assistant"
    calls = ToolCalls(f"{id_.removeprefix('chatcmpl-')}_{index}")
    listed = message.get("tool_calls")
    told = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    # Each is a whole call here, so an index of its own keeps two alike from being taken for one.
    placed = [calls.place({**call, "index": at}) for at, call in enumerate(told)]
    if told:
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"} for call in placed
        ]
    reason = reason_of(said.get("finish_reason"), has_calls=bool(told))
    return {**said, "index": index, "message": message, "finish_reason": reason}

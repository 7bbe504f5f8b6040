"""The matrix in the words of the anthropic SDK, Messages."""

import base64
import json
from typing import Any

import anthropic

from tests.matrix import ways
from tests.matrix.asking import (
    Answer,
    Broken,
    Call,
    Picture,
    Question,
    Refused,
    Results,
    Turn,
)

RAISED = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    502: anthropic.InternalServerError,
}
_ENDED = {
    "end_turn": "done",
    "stop_sequence": "done",
    "tool_use": "tools",
    "max_tokens": "cap",
}
_THINKING_TOKENS = 1_024


class Client(ways.Client):
    def _open(self, origin: str, key: str) -> None:
        known: dict[str, Any] = {"base_url": origin, "api_key": key, "max_retries": 0}
        kind = anthropic.AsyncAnthropic if self.awaits else anthropic.Anthropic
        self._sdk: Any = kind(**known)

    def _close(self) -> Any:
        return self._sdk.close()

    def _hurried(self, body: Any, patience_s: float) -> Any:
        return {**body, "timeout": patience_s}

    def _failed(self, failure: Exception) -> Refused | Broken | None:
        match failure:
            case anthropic.APIStatusError() if failure.status_code == 200:
                return Broken(failure.message)  # said inside a stream
            case anthropic.APIStatusError():
                status = failure.status_code
                assert type(failure) is RAISED[status], repr(failure)
                return Refused(status, failure.message)
        return None

    def _whole(self, body: Any) -> Any:
        return self._sdk.messages.create(**body)

    def _stream(self, body: Any) -> Any:
        return self._sdk.messages.stream(**body)

    def _joined(self, events: list[Any]) -> Answer:
        assert events[-1].type == "message_stop", events[-1]
        return self._read(events[-1].message, len(events))

    def _body(self, question: Question) -> Any:
        unnamed: dict[str, Any] = {"temperature": 0}  # newer signatures leave it out
        body: dict[str, Any] = {
            "model": question.model,
            "messages": [_message(turn) for turn in question.turns],
            "max_tokens": question.tokens_max,
            "extra_body": unnamed,
        }
        if question.system:
            body["system"] = question.system
        if question.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters,
                }
                for tool in question.tools
            ]
        if question.tool != "auto":
            body["tool_choice"] = {"type": "tool", "name": question.tool}
        if question.schema:  # a year ago only the beta API had it
            unnamed["output_config"] = {
                "format": {"type": "json_schema", "schema": question.schema}
            }
        if question.think:
            body["thinking"] = {"type": "enabled", "budget_tokens": _THINKING_TOKENS}
            body["max_tokens"] += _THINKING_TOKENS
            del unnamed["temperature"]  # the two do not go together
        if question.stop:
            body["stop_sequences"] = [question.stop]
        return body

    def _read(self, whole: Any, pieces: int = 0) -> Answer:
        if whole.stop_reason == "stop_sequence":
            assert whole.stop_sequence, "it says which"
        return Answer(
            texts=("".join(block.text for block in whole.content if block.type == "text"),),
            ended=_ENDED[whole.stop_reason],
            calls=tuple(
                Call(block.id, block.name, block.input)
                for block in whole.content
                if block.type == "tool_use"
            ),
            thought="".join(block.thinking for block in whole.content if block.type == "thinking"),
            logprobs=(),
            pieces=pieces,
            tokens_in=whole.usage.input_tokens
            + (whole.usage.cache_read_input_tokens or 0)
            + (whole.usage.cache_creation_input_tokens or 0),
            tokens_out=whole.usage.output_tokens,
            said=[block.to_dict() for block in whole.content],
        )


def _message(turn: Turn) -> dict[str, Any]:
    match turn:
        case Answer():
            return {"role": "assistant", "content": turn.said}
        case Picture():
            source = {
                "type": "base64",
                "media_type": "image/png",
                "data": base64.b64encode(turn.png).decode(),
            }
            blocks = [{"type": "image", "source": source}, {"type": "text", "text": turn.text}]
            return {"role": "user", "content": blocks}
        case Results():
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(result)}
                for call, result in turn.of
            ]
            return {"role": "user", "content": results}
        case str():
            return {"role": "user", "content": turn}

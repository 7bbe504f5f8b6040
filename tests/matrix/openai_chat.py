"""The matrix in the words of the openai SDK, Chat Completions."""

import base64
import json
from typing import Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.matrix import ways
from tests.matrix.asking import (
    Answer,
    Broken,
    Call,
    Picture,
    Question,
    Refused,
    Results,
    Token,
    Tool,
    Turn,
)

RAISED = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    502: openai.InternalServerError,
}
_ENDED = {"stop": "done", "tool_calls": "tools", "length": "cap"}


class Client(ways.Client):
    def _open(self, origin: str, key: str) -> None:
        known: dict[str, Any] = {"base_url": f"{origin}/v1", "api_key": key, "max_retries": 0}
        self._sdk: Any = (openai.AsyncOpenAI if self.awaits else openai.OpenAI)(**known)

    def _close(self) -> Any:
        return self._sdk.close()

    def _hurried(self, body: Any, patience_s: float) -> Any:
        return {**body, "timeout": patience_s}

    def _failed(self, failure: Exception) -> Refused | Broken | None:
        match failure:
            case openai.APIStatusError():
                status = failure.status_code
                assert type(failure) is RAISED[status], repr(failure)
                return Refused(status, failure.message)
            case openai.APIError() if not isinstance(failure, openai.APIConnectionError):
                return Broken(failure.message)
        return None

    def _whole(self, body: Any) -> Any:
        return self._sdk.chat.completions.create(**body)

    def _stream(self, body: Any) -> Any:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        return self._sdk.chat.completions.create(**body, **options)

    def _joined(self, events: list[Any]) -> Answer:
        state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
        for event in events:
            list(state.handle_chunk(event))
        return self._read(state.current_completion_snapshot, len(events))

    def _body(self, question: Question) -> Any:
        body: dict[str, Any] = {
            "model": question.model,
            "messages": [message for turn in question.turns for message in _messages(turn)],
            "max_completion_tokens": question.tokens_max,
            "temperature": 0,
        }
        if question.system:
            body["messages"].insert(0, {"role": "system", "content": question.system})
        if question.tools:
            body["tools"] = [_tool(tool) for tool in question.tools]
        if question.tool != "auto":
            body["tool_choice"] = {"type": "function", "function": {"name": question.tool}}
        if question.schema:
            schema = {"name": "answer", "schema": question.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if question.think:
            body["reasoning_effort"] = "low"
        if question.stop:
            body["stop"] = [question.stop]
        if question.choices > 1:
            body["n"] = question.choices
        if question.alternatives is not None:
            body |= {"logprobs": True, "top_logprobs": question.alternatives}
        return body

    def _read(self, whole: Any, pieces: int = 0) -> Answer:
        first = whole.choices[0]
        return Answer(
            texts=tuple(choice.message.content or "" for choice in whole.choices),
            ended=_ENDED[first.finish_reason],
            calls=tuple(
                Call(call.id, call.function.name, json.loads(call.function.arguments))
                for call in first.message.tool_calls or ()
            ),
            thought=getattr(first.message, "reasoning_content", None) or "",
            logprobs=tuple(
                Token(token.token, token.logprob, len(token.top_logprobs))
                for token in (first.logprobs.content or () if first.logprobs else ())
            ),
            pieces=pieces,
            tokens_in=whole.usage.prompt_tokens,
            tokens_out=whole.usage.completion_tokens,
            said=first.message.to_dict(),
        )


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": True,
        },
    }


def _messages(turn: Turn) -> list[Any]:
    match turn:
        case Answer():
            return [turn.said]
        case Picture():
            url = f"data:image/png;base64,{base64.b64encode(turn.png).decode()}"
            parts = [
                {"type": "text", "text": turn.text},
                {"type": "image_url", "image_url": {"url": url}},
            ]
            return [{"role": "user", "content": parts}]
        case Results():
            return [
                {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}
                for call, result in turn.of
            ]
        case str():
            return [{"role": "user", "content": turn}]

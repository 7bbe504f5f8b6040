"""The matrix in the words of the openai SDK, Responses."""

import base64
import json
from typing import Any

from tests.matrix import openai_chat
from tests.matrix.asking import Answer, Call, Picture, Question, Results, Token, Turn


class Client(openai_chat.Client):
    """The same SDK and the same exceptions, another API."""

    def _whole(self, body: Any) -> Any:
        return self._sdk.responses.create(**body)

    def _stream(self, body: Any) -> Any:
        return self._sdk.responses.stream(**body)

    def _joined(self, events: list[Any]) -> Answer:
        whole = events[-1].response
        deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
        assert "".join(deltas) == whole.output_text, "the end repeats what was streamed"
        return self._read(whole, len(events))

    def _body(self, question: Question) -> Any:
        body: dict[str, Any] = {
            "model": question.model,
            "input": [item for turn in question.turns for item in _items(turn)],
            "max_output_tokens": question.tokens_max,
            "temperature": 0,
            "store": False,
            "include": [],
        }
        if question.system:
            body["instructions"] = question.system
        if question.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "strict": True,
                }
                for tool in question.tools
            ]
        if question.tool != "auto":
            body["tool_choice"] = {"type": "function", "name": question.tool}
        if question.schema:
            schema = {"name": "answer", "schema": question.schema, "strict": True}
            body["text"] = {"format": {"type": "json_schema", **schema}}
        if question.think:
            body["reasoning"] = {"effort": "low", "summary": "auto"}
            body["include"].append("reasoning.encrypted_content")
        if question.alternatives is not None:
            body["top_logprobs"] = question.alternatives
            body["include"].append("message.output_text.logprobs")
        return body

    def _read(self, whole: Any, pieces: int = 0) -> Answer:
        calls = tuple(
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in whole.output
            if item.type == "function_call"
        )
        parts = [part for item in whole.output if item.type == "message" for part in item.content]
        return Answer(
            texts=(whole.output_text,),
            ended=_ended(whole, calls),
            calls=calls,
            thought="".join(
                summary.text
                for item in whole.output
                if item.type == "reasoning"
                for summary in item.summary
            ),
            logprobs=tuple(
                Token(token.token, token.logprob, len(token.top_logprobs))
                for part in parts
                for token in part.logprobs or ()
            ),
            pieces=pieces,
            tokens_in=whole.usage.input_tokens,
            tokens_out=whole.usage.output_tokens,
            said=[item.to_dict() for item in whole.output],
        )


def _ended(whole: Any, calls: tuple[Call, ...]) -> str:
    if whole.status == "incomplete":
        assert whole.incomplete_details.reason == "max_output_tokens", whole.incomplete_details
        return "cap"
    assert whole.status == "completed", whole.status
    return "tools" if calls else "done"


def _items(turn: Turn) -> list[Any]:
    match turn:
        case Answer():
            items: list[Any] = turn.said
            return items
        case Picture():
            url = f"data:image/png;base64,{base64.b64encode(turn.png).decode()}"
            parts = [
                {"type": "input_text", "text": turn.text},
                {"type": "input_image", "image_url": url, "detail": "auto"},
            ]
            return [{"role": "user", "content": parts}]
        case Results():
            return [
                {
                    "type": "function_call_output",
                    "call_id": call.id,
                    "output": json.dumps(result),
                }
                for call, result in turn.of
            ]
        case str():
            return [{"role": "user", "content": turn}]

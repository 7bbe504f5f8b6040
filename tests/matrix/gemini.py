"""The matrix in the words of the google-genai SDK."""

from contextlib import aclosing, closing
from typing import Any

from google import genai
from google.genai import errors, types

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
    Turn,
)

_ENDED = {types.FinishReason.STOP: "done", types.FinishReason.MAX_TOKENS: "cap"}


class Client(ways.Client):
    def _open(self, origin: str, key: str) -> None:
        options = types.HttpOptions(base_url=origin)
        client = genai.Client(api_key=key, http_options=options)
        self._sdk: Any = client.aio if self.awaits else client

    def _close(self) -> Any:
        return self._sdk.aclose() if self.awaits else self._sdk.close()

    def _hurried(self, body: Any, patience_s: float) -> Any:
        options = types.HttpOptions(timeout=round(patience_s * 1000))
        return {**body, "config": body["config"].model_copy(update={"http_options": options})}

    def _failed(self, failure: Exception) -> Refused | Broken | None:
        match failure:
            case errors.APIError():
                kind = errors.ClientError if failure.code < 500 else errors.ServerError
                assert type(failure) is kind, repr(failure)
                return Refused(failure.code, failure.message or "")
        return None

    def _whole(self, body: Any) -> Any:
        return self._sdk.models.generate_content(**body)

    def _stream(self, body: Any) -> Any:
        stream = self._sdk.models.generate_content_stream(**body)
        return _opened(stream) if self.awaits else closing(stream)

    def _joined(self, events: list[Any]) -> Answer:
        return self._read(events, len(events))

    def _body(self, question: Question) -> Any:
        config = types.GenerateContentConfig(
            max_output_tokens=question.tokens_max,
            temperature=0,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        if question.system:
            config.system_instruction = question.system
        if question.tools:
            declared = [
                types.FunctionDeclaration(
                    name=tool.name,
                    description=tool.description,
                    parameters_json_schema=tool.parameters,
                )
                for tool in question.tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if question.tool != "auto":
            calling = types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=[question.tool]
            )
            config.tool_config = types.ToolConfig(function_calling_config=calling)
        if question.schema:
            config.response_mime_type = "application/json"
            config.response_json_schema = question.schema
        if question.think:
            config.thinking_config = types.ThinkingConfig(
                include_thoughts=True, thinking_budget=1_024
            )
        if question.stop:
            config.stop_sequences = [question.stop]
        if question.choices > 1:
            config.candidate_count = question.choices
        if question.alternatives is not None:
            config.response_logprobs, config.logprobs = True, question.alternatives
        contents = [_content(turn) for turn in question.turns]
        return {"model": question.model, "contents": contents, "config": config}

    def _read(self, whole: Any, pieces: int = 0) -> Answer:
        """whole: one response, or all of a stream."""
        responses = whole if isinstance(whole, list) else [whole]
        said: dict[int, list[Any]] = {}
        for response in responses:
            for candidate in response.candidates or ():
                parts = (candidate.content and candidate.content.parts) or ()
                said.setdefault(candidate.index or 0, []).extend(parts)
        first = [c for r in responses for c in r.candidates or () if not c.index]
        calls = tuple(
            Call(part.function_call.id, part.function_call.name, part.function_call.args)
            for part in said[0]
            if part.function_call
        )
        used = responses[-1].usage_metadata
        return Answer(
            texts=tuple(_text(parts, thought=False) for _, parts in sorted(said.items())),
            ended=_ENDED[first[-1].finish_reason] if not calls else "tools",
            calls=calls,
            thought=_text(said[0], thought=True),
            logprobs=tuple(
                Token(chosen.token, chosen.log_probability, len(top.candidates))
                for candidate in first
                if candidate.logprobs_result
                for chosen, top in zip(
                    candidate.logprobs_result.chosen_candidates,
                    candidate.logprobs_result.top_candidates,
                    strict=True,
                )
            ),
            pieces=pieces,
            tokens_in=used.prompt_token_count,
            tokens_out=(used.candidates_token_count or 0) + (used.thoughts_token_count or 0),
            said=types.Content(role="model", parts=said[0]),
        )


async def _opened(stream: Any) -> Any:
    return aclosing(await stream)


def _text(parts: list[Any], *, thought: bool) -> str:
    return "".join(part.text or "" for part in parts if bool(part.thought) is thought)


def _content(turn: Turn) -> types.Content:
    match turn:
        case Answer():
            content: types.Content = turn.said
            return content
        case Picture():
            picture = types.Part.from_bytes(data=turn.png, mime_type="image/png")
            return types.UserContent([picture, types.Part.from_text(text=turn.text)])
        case Results():
            answers = [
                types.FunctionResponse(id=call.id, name=call.name, response=result)
                for call, result in turn.of
            ]
            return types.UserContent([types.Part(function_response=each) for each in answers])
        case str():
            return types.UserContent(turn)

"""A stream of Gemini's, read into canon events, and its usage into meters.

Every event is a whole GenerateContentResponse with what is new; calls come whole; nothing marks the
end but that it ends.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from portico.canon.delta import (
    Delta,
    Finished,
    FinishReason,
    Reasoning,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.usage import Meters
from portico.dialects.gemini.failures import refusal_in
from portico.dialects.openai_chat.failures import BrokenAnswer, malformed
from portico.dialects.outbound.stream import ProviderStream, converted, decoded
from portico.kit import sse
from portico.kit.ids import new_id

ISSUER = "gemini"

_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "OTHER": "refused",
    "LANGUAGE": "refused",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""The model did not manage to answer.  A caller of this dialect is told in these words."""
_IMAGES = frozenset({"IMAGE", "VIDEO"})
_Count = Annotated[int, Meta(ge=0)]

Keep = Callable[[str, str], None]
"""Call id and signature, to be found again when the call comes back without it."""


class _Modality(Struct, rename="camel"):
    modality: str = ""
    token_count: _Count = 0


class _Usage(Struct, rename="camel"):
    prompt_token_count: _Count = 0
    cached_content_token_count: _Count = 0
    candidates_token_count: _Count | None = None
    thoughts_token_count: _Count | None = None
    tool_use_prompt_token_count: _Count = 0
    prompt_tokens_details: list[_Modality] = field(default_factory=list)

    def meters(self) -> Meters:
        """Cached tokens are part of the prompt, thoughts are not part of the answer."""
        cached = min(self.cached_content_token_count, self.prompt_token_count)
        fresh = self.prompt_token_count - cached
        image = min(fresh, self._of(_IMAGES))
        audio = min(fresh - image, self._of({"AUDIO"}))
        return Meters(
            input_text=fresh - image - audio + self.tool_use_prompt_token_count,
            input_cache_read=cached,
            input_image=image,
            input_audio=audio,
            output_text=self.candidates_token_count or 0,
            output_reasoning=self.thoughts_token_count or 0,
        )

    def _of(self, kinds: "frozenset[str] | set[str]") -> int:
        return sum(
            each.token_count for each in self.prompt_tokens_details if each.modality in kinds
        )


class _Call(Struct):
    name: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _TokenSaid(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _TopTokens(Struct):
    candidates: list[_TokenSaid] = field(default_factory=list)


class _Logprobs(Struct, rename="camel"):
    chosen_candidates: list[_TokenSaid] = field(default_factory=list)
    top_candidates: list[_TopTokens] = field(default_factory=list)


class _Candidate(Struct, rename="camel"):
    index: Annotated[int, Meta(ge=0)] = 0
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: _Logprobs | None = None


class _PromptFeedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Chunk(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: Any = None
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk)


def read_answer(body: bytes) -> Delta:
    """A whole answer, for a caller of this dialect.

    Raises: BrokenAnswer: an error object in a 200, or no answer.
    """
    whole = decoded(_chunk, body)
    if whole.error is not None:
        raise BrokenAnswer(refusal_in(whole.error))
    if not whole.candidates and _blocked(whole) is None:
        raise malformed("an answer without candidates")
    usage = converted(whole.usage_metadata, _Usage)
    said = (whole.candidates or [_Candidate()])[0].finish_reason or "STOP"
    return Delta(
        raw=body,
        meters=usage.meters() if usage else None,
        last=True,
        finish="content_filter" if _blocked(whole) else _REASONS.get(said, "stop"),
    )


def _blocked(chunk: _Chunk) -> str | None:
    return chunk.prompt_feedback.block_reason if chunk.prompt_feedback else None


class GeminiStream(ProviderStream):
    """
    keep: where signatures of calls go.

    Calls get ids of our own: Gemini's are optional, and a signature must be found by an id that
    nobody else can guess.
    """

    def __init__(self, *, through: bool, keep: Keep) -> None:
        super().__init__(through=through)
        self._keep = keep
        self._calls: dict[int, int] = {}
        self._began: set[int] = set()
        self._finished: set[int] = set()

    def _take(self, event: sse.Event) -> None:
        if event.data == b"[DONE]":  # not of the dialect; some servers that imitate it say so
            return
        chunk = decoded(_chunk, event.data)
        if chunk.error is not None:
            raise BrokenAnswer(refusal_in(chunk.error))
        usage = converted(chunk.usage_metadata, _Usage)
        self.keep(event)
        for candidate in chunk.candidates or ():
            self._candidate(candidate)
        blocked = _blocked(chunk)
        if blocked is not None and not self._finished:
            self._over(0, "content_filter", blocked)
        if usage is not None and (self._tells_output(usage) or self._finished):
            self.count(usage.meters())

    @staticmethod
    def _tells_output(usage: _Usage) -> bool:
        """The first chunks may tell the prompt only: what was made meanwhile is counted here."""
        return usage.candidates_token_count is not None or usage.thoughts_token_count is not None

    def _candidate(self, candidate: _Candidate) -> None:
        choice = candidate.index
        self._began.add(choice)
        parts = (candidate.content.parts if candidate.content else None) or ()
        logprobs = _logprobs(candidate.logprobs_result)
        for part in parts:
            if part.thought:
                self._thought(part, choice)
            elif part.function_call is not None:
                self._call(part.function_call, part.thought_signature or "", choice)
            else:
                self._text(part, choice, logprobs)
                logprobs = None
        if candidate.finish_reason:
            self._reason(choice, candidate.finish_reason)

    def _text(self, part: _Part, choice: int, logprobs: tuple[dict[str, Any], ...] | None) -> None:
        if part.text:
            self.say(Text(part.text, choice, logprobs))
        if part.thought_signature:
            self.say(Sealed(part.thought_signature, ISSUER, choice))

    def _thought(self, part: _Part, choice: int) -> None:
        if part.text:
            self.say(Reasoning(part.text, choice, summary=True))
        if part.thought_signature:
            self.say(Sealed(part.thought_signature, ISSUER, choice))

    def _call(self, call: _Call, signature: str, choice: int) -> None:
        at = self._calls.get(choice, 0)
        self._calls[choice] = at + 1
        id = new_id("call")
        if signature:
            self._keep(id, signature)
            self.say(Sealed(signature, ISSUER, choice))
        self.say(ToolCallBegan(at, id, call.name, choice))
        self.say(ToolArguments(at, bytes(call.args).decode("utf-8", "replace"), choice))

    def _reason(self, choice: int, said: str) -> None:
        if said in _BROKEN and not self.through:
            raise malformed(f"it stopped with {said}")
        reason = _REASONS.get(said, "stop")
        if reason == "stop" and self._calls.get(choice):
            reason = "tool_calls"
        self._over(choice, reason, said)

    def _over(self, choice: int, reason: FinishReason, native: str) -> None:
        if choice not in self._finished:
            self._finished.add(choice)
            self.say(Finished(reason, choice, native=native))

    def _complete(self) -> bool:
        return bool(self._finished) and self._began <= self._finished


def _logprobs(found: _Logprobs | None) -> tuple[dict[str, Any], ...] | None:
    if found is None:
        return None
    said = []
    for at, chosen in enumerate(found.chosen_candidates):
        top = found.top_candidates[at].candidates if at < len(found.top_candidates) else []
        said.append({**_token(chosen), "top_logprobs": [_token(each) for each in top]})
    return tuple(said)


def _token(said: _TokenSaid) -> dict[str, Any]:
    as_bytes = list(said.token.encode("utf-8", "replace"))
    return {"token": said.token, "logprob": said.log_probability, "bytes": as_bytes}

"""Chunks and answers as engines send them: only the members we read, none of them trusted."""

from typing import Any

import msgspec
from msgspec import Struct

from portico.dialects.openai_chat import failures
from portico.dialects.openai_chat.usage import ChatUsage

DONE = b"data: [DONE]\n\n"


class ChunkDelta(Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    @property
    def bears(self) -> bool:
        """Does it carry output, and not only a role or an empty string?"""
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.tool_calls
            or self.refusal
            or self.function_call
            or self.audio
        )


class ChunkChoice(Struct):
    index: int = 0
    finish_reason: Any = None
    delta: ChunkDelta | None = None


class Chunk(Struct):
    choices: list[ChunkChoice] | None = None
    usage: Any = None
    timings: Any = None
    error: Any = None
    object: Any = None


class AnswerChoice(Struct):
    message: dict[str, Any]
    index: int = 0
    finish_reason: Any = None


class Answer(Struct):
    choices: list[AnswerChoice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None


class _SoundAnswer(Answer):
    """As most are: it need not be looked at again."""

    usage: ChatUsage | None = None


_chunk = msgspec.json.Decoder(Chunk)
_sound_answer = msgspec.json.Decoder(_SoundAnswer)
_answer = msgspec.json.Decoder(Answer)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_chunk(payload: bytes) -> Chunk:
    """Raises: BrokenAnswer: an error in place of a chunk, or no chunk at all."""
    try:
        chunk = _chunk.decode(payload)
    except (ValueError, RecursionError) as error:
        raise failures.malformed(f"a chunk that cannot be read ({error})") from None
    if chunk.error or chunk.object == "error":
        _raise_error(payload)
    return chunk


def read_whole(body: bytes) -> Answer:
    """Raises: BrokenAnswer: an error in place of the answer, or no answer at all."""
    try:
        answer = _answer_in(body)
    except (ValueError, RecursionError) as error:
        raise failures.malformed(f"an answer that cannot be read ({error})") from None
    if answer.error or answer.object == "error":
        _raise_error(body)
    if not answer.choices:
        raise failures.malformed("an answer without choices")
    return answer


def _answer_in(body: bytes) -> Answer:
    try:
        return _sound_answer.decode(body)
    except msgspec.ValidationError:  # perhaps of figures alone, which are read with more patience
        return _answer.decode(body)


def read_untyped(payload: bytes | str) -> dict[str, Any]:
    """Raises: BrokenAnswer: no JSON object."""
    try:
        document = msgspec.json.decode(payload)
    except (ValueError, RecursionError) as error:
        raise failures.malformed(f"JSON that cannot be read ({error})") from None
    if not isinstance(document, dict):
        raise failures.malformed("JSON that is no object")
    return document


def _raise_error(payload: bytes) -> None:
    refusal = failures.error_in(read_untyped(payload))
    if refusal is not None:
        raise failures.BrokenAnswer(refusal)


def rewritten(payload: bytes, changes: dict[str, bytes | None]) -> bytes:
    """The object `payload` with top-level members set, or left out where None."""
    members: dict[str, Any] = dict(_members.decode(payload))
    for name, value in changes.items():
        members.pop(name, None)
        if value is not None:
            members[name] = msgspec.Raw(value)
    return msgspec.json.encode(members)

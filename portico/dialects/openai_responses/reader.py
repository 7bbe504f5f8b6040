"""A stream of Responses, read into canon events, and its usage into meters."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from portico.canon.delta import (
    Delta,
    Finished,
    FinishReason,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.usage import Meters
from portico.dialects.openai_chat.failures import BrokenAnswer, malformed
from portico.dialects.openai_responses.failures import refusal_in
from portico.dialects.outbound.stream import ProviderStream, converted, decoded
from portico.kit import sse

ISSUER = "openai"

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that call a tool, and the member that holds what it is given."""
_PIECES = frozenset(
    {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
)
_THOUGHTS = frozenset({"response.reasoning_text.delta", "response.reasoning.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILURES = frozenset({"error", "response.failed", "response.cancelled"})
_CUT: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
}
_NOTHING = msgspec.Raw()
_ABSENT = (b"", b"null")
_DONE = b"data: [DONE]\n\n"
_Count = Annotated[int, Meta(ge=0)]


class _InputDetails(Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _OutputDetails(Struct):
    reasoning_tokens: _Count | None = None


class _Usage(Struct):
    input_tokens: _Count
    output_tokens: _Count
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def meters(self) -> Meters:
        """The totals hold their details."""
        inputs = self.input_tokens_details or _InputDetails()
        outputs = self.output_tokens_details or _OutputDetails()
        read = min(inputs.cached_tokens or 0, self.input_tokens)
        written = min(inputs.cache_write_tokens or 0, self.input_tokens - read)
        thought = min(outputs.reasoning_tokens or 0, self.output_tokens)
        return Meters(
            input_text=self.input_tokens - read - written,
            input_cache_read=read,
            input_cache_write_5m=written,
            output_text=self.output_tokens - thought,
            output_reasoning=thought,
        )


class _Part(Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""


class _Item(Struct):
    type: str
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None


class _Incomplete(Struct):
    reason: str | None = None


class _Response(Struct):
    """Or an error that came in its place, with its members beside one another."""

    type: str | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: _Incomplete | None = None

    def reason(self) -> FinishReason:
        said = self.incomplete_details.reason if self.incomplete_details else None
        return _CUT.get(said or "", "length") if self.status == "incomplete" else "stop"


class _Event(Struct):
    type: str
    delta: Any = None
    output_index: int = 0
    summary_index: int = 0
    item: msgspec.Raw = _NOTHING
    logprobs: list[dict[str, Any]] | None = None
    response: msgspec.Raw = _NOTHING


_event = msgspec.json.Decoder(_Event)
_item = msgspec.json.Decoder(_Item)
_response = msgspec.json.Decoder(_Response)


def read_answer(body: bytes) -> Delta:
    """A whole answer, for a caller of this dialect.

    Raises: BrokenAnswer: an error object in a 200, or no response.
    """
    whole = decoded(_response, body)
    if whole.type == "error":
        raise BrokenAnswer(refusal_in(msgspec.json.decode(body)))
    if whole.error is not None:
        raise BrokenAnswer(refusal_in(whole.error))
    if whole.output is None:
        raise malformed("an answer without output")
    usage = converted(whole.usage, _Usage)
    return Delta(
        raw=body, meters=usage.meters() if usage else None, last=True, finish=whole.reason()
    )


class ResponsesStream(ProviderStream):
    """Pieces become events as they come.  What a server tells only in an item's end, or only in the
    whole response at the end, is told then."""

    def __init__(self, *, through: bool) -> None:
        super().__init__(through=through)
        # Its callers are told at once that it has begun: were they first told by our own
        # keep-alive, they would be told twice, and the numbers of the events would not fit.
        self._begun = through
        self._calls: dict[int, int] = {}
        """Place among the tool calls, by output index."""
        self._told: set[int] = set()
        """Output indexes of which some content came in pieces."""
        self._closed: set[int] = set()
        self._refused = False
        self._finished = False

    def _take(self, event: sse.Event) -> None:
        if event.data == b"[DONE]":
            return
        read = decoded(_event, event.data)
        if read.type in _FAILURES:
            raise BrokenAnswer(refusal_in(self._error(read, event.data)))
        self.keep(event)
        if isinstance(read.delta, str) and read.delta:
            self._piece(read, read.delta)
        elif read.type in _ENDS:
            self._complete_with(read)
        elif bytes(read.item) not in _ABSENT:
            self._item_event(read, decoded(_item, bytes(read.item)))
        elif read.type == "response.reasoning_summary_part.added" and read.summary_index:
            self.say(Reasoning("\n\n", summary=True))

    @staticmethod
    def _error(read: _Event, data: bytes) -> Any:
        if bytes(read.response) not in _ABSENT:
            return decoded(_response, bytes(read.response)).error
        return msgspec.json.decode(data)

    def _piece(self, read: _Event, text: str) -> None:
        kind = read.type
        if kind == "response.output_text.delta":
            self.say(Text(text, logprobs=tuple(read.logprobs) if read.logprobs else None))
        elif kind in _PIECES:
            if read.output_index not in self._calls:
                raise malformed("arguments of a call that never began")
            self.say(ToolArguments(self._calls[read.output_index], text))
        elif kind == "response.refusal.delta":
            self._refuse(text)
        elif kind == "response.reasoning_summary_text.delta":
            self.say(Reasoning(text, summary=True))
        elif kind in _THOUGHTS:
            self.say(Reasoning(text))
        else:
            return
        self._told.add(read.output_index)

    def _refuse(self, text: str) -> None:
        self._refused = True
        self.say(Refused(text))

    def _item_event(self, read: _Event, item: _Item) -> None:
        if read.type == "response.output_item.added":
            self._open(read.output_index, item)
        elif read.type == "response.output_item.done":
            self._close(read.output_index, item)

    def _open(self, index: int, item: _Item) -> None:
        if item.type in _CALLS and index not in self._calls:
            at = self._calls[index] = len(self._calls)
            custom = item.type == "custom_tool_call"
            self.say(ToolCallBegan(at, item.call_id, item.name, custom=custom))

    def _close(self, index: int, item: _Item) -> None:
        if index in self._closed:
            return
        self._closed.add(index)
        self._open(index, item)
        if index not in self._told:
            self._tell(index, item)
        if item.type == "reasoning" and item.encrypted_content:
            self.say(Sealed(item.encrypted_content, ISSUER))

    def _tell(self, index: int, item: _Item) -> None:
        """What came in no pieces."""
        if item.type in _CALLS:
            given = item.input if item.type == "custom_tool_call" else item.arguments
            self.say(ToolArguments(self._calls[index], given))
        elif item.type == "reasoning":
            said = "\n\n".join(part.text for part in item.summary or ())
            if said:
                self.say(Reasoning(said, summary=True))
        elif item.type == "message":
            for part in item.content or ():
                if part.type == "output_text" and part.text:
                    self.say(Text(part.text))
                elif part.type == "refusal" and part.refusal:
                    self._refuse(part.refusal)

    def _complete_with(self, read: _Event) -> None:
        response = decoded(_response, bytes(read.response or b"{}"))
        for index, raw in enumerate(response.output or ()):
            self._close(index, decoded(_item, bytes(raw)))
        usage = converted(response.usage, _Usage)
        if usage is not None:
            self.count(usage.meters())
        reason = response.reason()
        if read.type == "response.incomplete" and reason == "stop":
            reason = "length"
        if reason == "stop":
            reason = "tool_calls" if self._calls else "refused" if self._refused else "stop"
        details = response.incomplete_details
        self.say(Finished(reason, native=(details.reason if details else None) or ""))
        self._end()

    def _complete(self) -> bool:
        return False  # its own events say when it is

    def _end(self) -> None:
        super()._end()
        if self.through:
            self._held += _DONE

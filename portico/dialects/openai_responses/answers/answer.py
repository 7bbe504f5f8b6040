"""One answer: canon events in, wire events and a response object out."""

from collections.abc import Iterator
from typing import Any

from portico import errors
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.remote import (
    Remote,
    RemoteAsked,
    RemoteCallBegan,
    RemoteCallEnded,
    RemoteTools,
)
from portico.dialects.openai_responses.answers.output import (
    UNSHOWN,
    CallItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    Status,
    Wire,
)
from portico.dialects.openai_responses.answers.remote import (
    RemoteCallItem,
    asked,
    offer_item,
    offered,
)
from portico.dialects.openai_responses.answers.terms import terms_of
from portico.dialects.openai_responses.opening import Seals, sealed_thought
from portico.dialects.openai_responses.usage import usage_of
from portico.dialects.writing import Kept
from portico.errors import Refusal

_INCOMPLETE = {
    "length": "max_output_tokens",
    "context": "max_output_tokens",
    "content_filter": "content_filter",
    "tool_limit": "max_tool_calls",
}
BROKE_OFF = {"code": "server_error", "message": "The answer broke off before its end."}
SUPPRESSED = 'call_suppressed; field="tool_choice"; action=dropped'
"""The warning for a call of a tool that must not be called."""


class Answer:
    """request_id: becomes the id of the response and of its items.  created_s: Unix time.

    Only the first choice is read: there is no other, whatever an engine says.
    """

    def __init__(self, prompt: Prompt, request_id: str, created_s: int, seals: Seals) -> None:
        self._prompt = prompt
        self._terms = terms_of(prompt)
        self._id = request_id.removeprefix("req_")
        self._created_s = created_s
        self._seals = seals
        self._running = Kept()
        self._item: OutputItem | None = None
        self._call: int | None = None
        """The engine's index of the call that is open."""
        self._calls: set[int] = set()
        """Those that have begun and are shown."""
        self._output: list[Wire] = []
        self._unshown: dict[str, Wire] = {}
        """By item, what is kept of it and not shown."""
        self._finished = Finished("stop")
        self._cut = ""
        self._suppressed = False

    def take(self, delta: Delta) -> Iterator[Wire]:
        """The events of `delta`.  Raises: Refusal: upstream_failed, where calls are mixed up."""
        self._running.count(delta)
        self._cut = delta.cut or self._cut
        for event in delta.events:
            if event.choice == 0:
                yield from self._event(event)

    def end(self) -> Iterator[Wire]:
        """Whatever is open, done."""
        yield from self._end_item(self._last_status())

    # -- items ---------------------------------------------------------------------------------

    def _event(self, event: Event) -> Iterator[Wire]:
        match event:
            case Text(text=text) if text:
                yield from self._say("output_text", text, event.logprobs)
            case Refused(text=text) if text:
                yield from self._say("refusal", text, None)
            case Reasoning():
                yield from self._think(event)
            case Sealed():
                yield from self._seal(event)
            case ToolCallBegan():
                yield from self._begin_call(event)
            case ToolArguments():
                yield from self._add_arguments(event)
            case Finished():
                self._finished = event
            case RemoteTools() | RemoteCallBegan() | RemoteCallEnded() | RemoteAsked():
                yield from self._remote(event)

    def _remote(self, event: Remote) -> Iterator[Wire]:
        yield from self._end_remote(event)
        index = len(self._output)
        match event:
            case RemoteTools():
                item = offer_item(self._item_id("mcpl"), event)
                yield from self._whole(item, offered(item, index))
            case RemoteAsked():
                item = {
                    "id": event.id,
                    "type": "mcp_approval_request",
                    "server_label": event.label,
                    "name": event.name,
                    "arguments": event.arguments,
                }
                yield from self._whole(item, asked(item, index))
            case RemoteCallBegan():
                call = RemoteCallItem(self._item_id("mcp"), index, event)
                yield self._added(call)
                yield from call.begin()

    def _end_remote(self, event: Remote) -> Iterator[Wire]:
        """What is open, done: with what a call gave, where that is it."""
        if isinstance(event, RemoteCallEnded) and isinstance(self._item, RemoteCallItem):
            self._item.give(event)
        yield from self._end_item("completed")

    def _whole(self, item: Wire, events: Iterator[Wire]) -> Iterator[Wire]:
        """An item that is there at once."""
        index = len(self._output)
        yield from events
        self._output.append(item)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}

    def _say(self, kind: str, text: str, logprobs: Any) -> Iterator[Wire]:
        item = self._item
        if not isinstance(item, MessageItem):
            yield from self._end_item("completed")
            item = MessageItem(self._item_id("msg"), len(self._output))
            yield self._added(item)
        yield from item.add(kind, text, logprobs)

    def _think(self, event: Reasoning) -> Iterator[Wire]:
        item = yield from self._thought()
        summary = event.summary or self._terms.summarises
        yield from item.add("summary_text" if summary else "reasoning_text", event.text)

    def _thought(self) -> Any:
        if isinstance(self._item, ReasoningItem):
            return self._item
        yield from self._end_item("completed")
        item = ReasoningItem(self._item_id("rs"), len(self._output))
        yield self._added(item)
        return item

    def _seal(self, event: Sealed) -> Iterator[Wire]:
        """The end of a thought that somebody else has sealed."""
        if not self._terms.seals and not self._prompt.kept:
            return
        item = yield from self._thought()
        if event.issuer == "openai":
            sealed: Wire = {"encrypted_content": event.blob}
        else:
            sealed = self._sealed(item.text, event.blob, event.issuer)
        if self._terms.seals:
            item.sealed = sealed
        else:
            item.unshown = {**sealed, UNSHOWN: True}
        yield from self._end_item("completed")

    def _sealed(self, text: str, blob: str = "", issuer: str = "") -> Wire:
        expires_s = self._seals.expiry_s()
        content = sealed_thought(text, blob, issuer)
        closed = self._seals.close("reasoning", content, expires_s)
        return {"encrypted_content": closed, "portico_expires_at": expires_s}

    def _begin_call(self, event: ToolCallBegan) -> Iterator[Wire]:
        allowed = self._terms.callable
        if allowed is not None and event.name not in allowed:
            self._suppressed = True
            return
        yield from self._end_item("completed")
        one = self._terms.names.get(event.name)
        item = CallItem(
            self._item_id("ctc" if event.custom else "fc"),
            len(self._output),
            event.id,
            one.tool.name or event.name if one else event.name,
            one.namespace if one else "",
            custom=event.custom,
        )
        self._call = event.index
        self._calls.add(event.index)
        yield self._added(item)

    def _add_arguments(self, event: ToolArguments) -> Iterator[Wire]:
        if event.index not in self._calls:
            return  # of a call that is not shown
        if event.index != self._call or not isinstance(self._item, CallItem):
            # Its item is done, and has been said to be: what is missing must not go unnoticed.
            raise errors.UPSTREAM_FAILED("The engine went on with a call that it had ended.")
        yield from self._item.add(event.json)

    def _added(self, item: OutputItem) -> Wire:
        self._item = item
        body = item.body("in_progress")
        return {
            "type": "response.output_item.added",
            "output_index": len(self._output),
            "item": body,
        }

    def _end_item(self, status: Status) -> Iterator[Wire]:
        item = self._item
        if item is None:
            return
        yield from item.end(status)
        if isinstance(item, ReasoningItem) and self._terms.seals and not item.sealed:
            item.sealed = self._sealed(item.text)
        body = item.body(status)
        if isinstance(item, ReasoningItem) and item.unshown:
            self._unshown[body["id"]] = item.unshown
        index = len(self._output)
        self._output.append(body)
        self._item = self._call = None
        yield {"type": "response.output_item.done", "output_index": index, "item": body}

    def _item_id(self, kind: str) -> str:
        return f"{kind}_{self._id}{len(self._output):x}"

    def _last_status(self) -> Status:
        return "incomplete" if self._finished.reason in _INCOMPLETE else "completed"

    # -- the response object -------------------------------------------------------------------

    def under_way(self, status: str = "in_progress") -> Wire:
        return self._response(status)

    def complete(self, completed_s: int) -> Wire:
        """After `end`; status is completed or incomplete."""
        status = self._last_status()
        response = self._response(status, usage=usage_of(self._running.total()))
        response["output"] = self._output
        if status == "completed":
            response["completed_at"] = completed_s
        else:
            reason = _INCOMPLETE[self._finished.reason]
            response["incomplete_details"] = {"reason": reason}
        said = self._cut or self._finished.native
        if said:
            response["portico_stop_reason"] = said
        warnings = [*self._prompt.warnings, *([SUPPRESSED] if self._suppressed else ())]
        if warnings:
            response["warnings"] = warnings
        return response

    def kept(self, response: Wire) -> Wire:
        """`response`, with what is needed to go on from it."""
        if not self._unshown:
            return response
        output = [{**item, **self._unshown.get(item["id"], {})} for item in response["output"]]
        return {**response, "output": output}

    def failed(self, refusal: Refusal) -> Wire:
        """What is there so far, the open item as it stands."""
        response = self.broken("failed")
        response["error"] = {"code": error_code(refusal), "message": refusal.told}
        return response

    def broken(self, status: str) -> Wire:
        """The same, of one whose end nobody is told."""
        response = self._response(status, usage=usage_of(self._running.total()))
        if status == "failed":
            response["error"] = BROKE_OFF
        opened = [self._item.body("incomplete")] if self._item else []
        response["output"] = [*self._output, *opened]
        return response

    def _response(self, status: str, usage: Wire | None = None) -> Wire:
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created_s,
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": [],
            **self._terms.echo,
            "usage": usage,
        }


def error_code(refusal: Refusal) -> str:
    """The few codes that the response object knows; the `error` event says more."""
    if refusal.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if refusal.entry.fault == "caller" else "server_error"

"""Items of remote tools, which come whole: what a server offers, a call and what it gave, a question."""

from collections.abc import Iterator
from typing import Any

from portico.canon.remote import RemoteCallBegan, RemoteCallEnded, RemoteTools

Wire = dict[str, Any]


def offer_item(item_id: str, event: RemoteTools) -> Wire:
    tools = [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.parameters,
            "annotations": tool.annotations or None,
        }
        for tool in event.tools
    ]
    return {
        "id": item_id,
        "type": "mcp_list_tools",
        "server_label": event.label,
        "tools": tools,
        "error": event.error or None,
    }


def offered(item: Wire, index: int) -> Iterator[Wire]:
    """The events of it, but the last."""
    yield _added({**item, "tools": [], "error": None}, index)
    at = {"item_id": item["id"], "output_index": index}
    yield {"type": "response.mcp_list_tools.in_progress", **at}
    yield {"type": f"response.mcp_list_tools.{'failed' if item['error'] else 'completed'}", **at}


def asked(item: Wire, index: int) -> Iterator[Wire]:
    """The same of a question."""
    yield _added(item, index)


class RemoteCallItem:
    """A call that this server makes."""

    def __init__(self, item_id: str, index: int, event: RemoteCallBegan) -> None:
        self._at: Wire = {"item_id": item_id, "output_index": index}
        self._event = event
        self._ended: RemoteCallEnded | None = None

    def begin(self) -> Iterator[Wire]:
        """Behind `added`."""
        arguments = self._event.arguments
        yield {"type": "response.mcp_call.in_progress", **self._at}
        yield {"type": "response.mcp_call_arguments.delta", **self._at, "delta": arguments}
        yield {"type": "response.mcp_call_arguments.done", **self._at, "arguments": arguments}

    def give(self, event: RemoteCallEnded) -> None:
        self._ended = event

    def end(self, _: str) -> Iterator[Wire]:
        failed = self._ended is None or bool(self._ended.error)
        yield {"type": f"response.mcp_call.{'failed' if failed else 'completed'}", **self._at}

    def body(self, status: str) -> Wire:
        event, ended = self._event, self._ended
        failed = ended is not None and bool(ended.error)
        return {
            "id": self._at["item_id"],
            "type": "mcp_call",
            "status": "failed" if failed else status,
            "approval_request_id": event.approval_id or None,
            "server_label": event.label,
            "name": event.name,
            "arguments": event.arguments if status != "in_progress" else "",
            "output": None if ended is None or failed else ended.output,
            "error": _error(ended) if ended is not None and failed else None,
        }


def _error(ended: RemoteCallEnded) -> Wire:
    if ended.fault == "tool":
        said = [{"type": "text", "text": ended.error}]
        return {"type": "mcp_tool_execution_error", "content": said}
    kind = "http_error" if ended.fault == "http" else "mcp_protocol_error"
    return {"type": kind, "code": ended.code, "message": ended.error}


def _added(item: Wire, index: int) -> Wire:
    return {"type": "response.output_item.added", "output_index": index, "item": item}

"""Every way to name an object of what developers keep here: by path, in a body, in a query, in a
message on a WebSocket.

A route, a field or a parameter that is new and takes an id has to be entered here, or the test of the
table fails (`test_foreign_ids.py`).  Placeholders such as `<response>` stand for the id that is tried,
`<my response>` for one that is there.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from portico.door.routes import FORM, Route

KINDS = {
    "/v1/responses/": "response",
    "/v1/conversations/": "conversation",
    "/v1/files/": "file",
    "/v1/uploads/": "upload",
    "/v1/batches/": "batch",
    "/v1/messages/batches/": "message_batch",
}
"""What `{id}` is, by what stands before it."""
MODELS = re.compile(r"/v1(alpha|beta)?/(preflight/)?models/\{id\}")
"""A model is nobody's: what a key may not name is hidden by `test_models_of_a_key` and its like."""
BOUNDARY = "zzz"
PART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="data"; filename="p"\r\n\r\nabc\r\n'
    f"--{BOUNDARY}--\r\n"
)
SENT = {
    ("POST", "/v1/conversations/{id}"): {"metadata": {"a": "b"}},
    ("POST", "/v1/conversations/{id}/items"): {
        "items": [{"type": "message", "role": "user", "content": "x"}]
    },
    ("POST", "/v1/uploads/{id}/parts"): PART,
    ("POST", "/v1/uploads/{id}/complete"): {"part_ids": ["<my part>"]},
}
"""What is sent along where the path names the object."""
HELLO = [{"role": "user", "content": "Hello"}]


def _message(part: dict[str, Any]) -> dict[str, Any]:
    return {"model": "sim-echo", "messages": [{"role": "user", "content": [part]}]}


def _messages(part: dict[str, Any]) -> dict[str, Any]:
    return {**_message(part), "max_tokens": 20}


def _input(item: dict[str, Any]) -> dict[str, Any]:
    return {"model": "sim-echo", "input": [item]}


def _user(part: dict[str, Any]) -> dict[str, Any]:
    return _input({"role": "user", "content": [part]})


_FILE = {"type": "file", "file_id": "<file>"}
_URI = {"fileData": {"fileUri": "files/<file>"}}
_CONTENTS = {"contents": [{"role": "user", "parts": [_URI]}]}
_TOOL_RESULT = {
    "model": "sim-echo",
    "max_tokens": 20,
    "messages": [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "document", "source": _FILE}],
                }
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
}
_CALLED = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
_OUTPUT = [{"type": "input_file", "file_id": "<file>"}]
_RESPONSES = (
    {"model": "sim-echo", "input": "x", "previous_response_id": "<response>"},
    {"model": "sim-echo", "input": "x", "conversation": "<conversation>"},
    {"model": "sim-echo", "input": "x", "conversation": {"id": "<conversation>"}},
    _input({"type": "item_reference", "id": "<answer>"}),
    _input({"id": "<answer>"}),
    {**_input({"type": "item_reference", "id": "<item>"}), "conversation": "<my conversation>"},
    _user({"type": "input_file", "file_id": "<file>"}),
    _user({"type": "input_image", "file_id": "<picture>"}),
    {
        "model": "sim-echo",
        "input": [_CALLED, {"type": "function_call_output", "call_id": "c", "output": _OUTPUT}],
    },
)
_MESSAGES = (
    _messages({"type": "document", "source": _FILE}),
    _messages({"type": "image", "source": {"type": "file", "file_id": "<picture>"}}),
    _TOOL_RESULT,
)
_GEMINI = (
    _CONTENTS,
    {"contents": [{"parts": [{"file_data": {"file_uri": "<file>"}}]}]},
)
BODIES: dict[str, tuple[Any, ...]] = {
    "ChatRequest": (_message({"type": "file", "file": {"file_id": "<file>"}}),),
    "CompletionsRequest": (),
    "EmbeddingsRequest": (),
    "ResponsesRequest": _RESPONSES,
    "anthropic_messages.MessagesRequest": _MESSAGES,
    "anthropic_messages.CountRequest": _MESSAGES,
    "gemini.GenerateRequest": _GEMINI,
    "gemini.CountRequest": (
        *_GEMINI,
        {"generateContentRequest": {"model": "models/sim-echo", **_CONTENTS}},
    ),
    "gemini.EmbedRequest": (),
    "gemini.BatchRequest": (),
    "batches.BatchRequest": (
        {
            "input_file_id": "<lines>",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        },
    ),
    # Its lines are requests of their own: `test_lines_of_batches_...`.
    "MessageBatchRequest": (),
    "NewConversation": (),
    "Metadata": (),
    "NewItems": (),
    "FileForm": (),
    "PartForm": (),
    "UploadRequest": (),
    "CompletionOfUpload": ({"part_ids": ["<part>"]},),
    "ModerationRequest": (),
    "Wish": (),
}
"""By the type that a route says its body is of."""
CURSORS: dict[str, dict[str, str]] = {
    "/v1/files": {
        "after": "<file>",
        "before": "<file>",
        "after_id": "<file>",
        "before_id": "<file>",
        "page": "page_<file>",
        "ids": "<file>",
    },
    "/v1/batches": {"after": "<batch>", "before": "<batch>"},
    "/v1/messages/batches": {"after_id": "<message_batch>", "before_id": "<message_batch>"},
    "/v1/responses/{id}/input_items": {"after": "<asked>", "before": "<asked>"},
    "/v1/conversations/{id}/items": {"after": "<item>"},
    "/v1/usage": {"request_id": "<request>"},
}
"""Parameters that take ids, by route."""
HARMLESS = frozenset(
    {
        *("limit", "order", "purpose", "include", "stream", "starting_after"),
        *("include_obfuscation", "group_by", "since", "until", "scope_id"),
    }
)
"""Parameters that take none of ours: `starting_after` is a number, and `scope_id` names sessions,
which there are none of."""
OF_ANTHROPIC = ("after_id", "before_id", "page", "ids")
NOT_OURS = {
    "id": "of a call or an item within its own request; a reference's is tried",
    "call_id": "within its own request",
    "tool_call_id": "within its own request",
    "tool_use_id": "within its own request",
    "custom_id": "a caller's own word for a line",
    "user_id": "a caller's own word for a person",
    "cachedContent": "refused, whatever it is",
    "organisation_id": "only in answers",
    "approval_request_id": "sealed for one project: tests/whole/test_remote_tools.py",
}
"""Fields that are called as if they named an object of ours."""
_TELLING = re.compile(r"(^|_)ids?$|[a-z]Ids?$|[uU]ri$|^conversation$|^cached_?[cC]ontent$")


def id_fields(document: dict[str, Any]) -> set[str]:
    """Names of fields that take an id, in all that routes describe."""
    found: set[str] = set()
    for schema in document["components"]["schemas"].values():
        found |= {name for name in schema.get("properties", {}) if _TELLING.search(name)}
    return found


def tried_fields() -> set[str]:
    """Those whose value is an id in some body here."""
    text = json.dumps([*BODIES.values(), *SENT.values()])
    return set(re.findall(r'"(\w+)": (?:\[|\{"id": )?"[^"<]*<', text))


@dataclass(frozen=True)
class Cell:
    """by: how the object is named.  last: it ends what it is about, so it is asked for one's own when
    all others were."""

    method: str
    path: str
    by: Literal["path", "body", "cursor"]
    body: Any = None
    headers: tuple[str, ...] = ()
    last: bool = False


def cells(route: Route) -> Iterator[Cell]:
    """All ways in which a route can be told of an object."""
    if "{id}" in route.name and not MODELS.match(route.name):
        yield from _paths(route)
    if route.body is not None and route.name.startswith("/v1"):
        model = "sim-embed" if "mbed" in route.name else "sim-echo"
        path = route.name.replace("models/{id}", f"models/{model}").replace("{id}", "<my upload>")
        for body in BODIES[name_of(route.body)]:
            yield Cell(route.method, path, "body", body, last="uploads" in path)
    for name, value in CURSORS.get(route.name, {}).items():
        path = re.sub(r"/(\w+?)s/\{id\}", r"/\1s/<my \1>", route.name)
        also = ("anthropic-version: 2023-06-01",) if name in OF_ANTHROPIC else ()
        if route.method == "GET":
            yield Cell(route.method, f"{path}?{name}={value}", "cursor", None, also)


def _paths(route: Route) -> Iterator[Cell]:
    kind = KINDS[route.name.partition("{id}")[0]]
    ends = route.method == "DELETE" or route.name.endswith(("/cancel", "/complete"))
    if "{item}" in route.name:
        for holder in ("<conversation>", "<my conversation>"):
            path = route.name.replace("{id}", holder).replace("{item}", "<item>")
            yield Cell(route.method, path, "path", last=ends)
        return
    form = (f"Content-Type: multipart/form-data; boundary={BOUNDARY}",)
    headers = form if route.kind == FORM else ()
    sent = SENT.get((route.method, route.name))
    path = route.name.replace("{id}", f"<{kind}>")
    yield Cell(route.method, path, "path", sent, headers, ends)
    if "stream" in route.query:
        path = route.name.replace("{id}", "<streamed>")
        yield Cell(route.method, f"{path}?stream=true&starting_after=0", "path")


def name_of(body: type) -> str:
    """As `BODIES` has it: with its room, where others have a type of that name."""
    for room in body.__module__.split("."):
        if f"{room}.{body.__name__}" in BODIES:
            return f"{room}.{body.__name__}"
    return body.__name__


def socket_messages() -> Iterator[dict[str, Any]]:
    for body in BODIES["ResponsesRequest"]:
        yield {"type": "response.create", **body}

"""Files that a request names by the id under which they are kept here, in the places where each
dialect may: found, and put inline.

Pure: whoever reads them is elsewhere, and once a request is parsed no id is left.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from portico import errors
from portico.dialects.diagnosis import brief, shown

_OF_GEMINI = re.compile(r"(?:files/)?(file_[0-9a-f]{32})")
Kind = Literal["image", "file", "document"]


@dataclass(frozen=True, slots=True)
class Content:
    """data: base64.  text: of a file of text, None of any other; asked for where a dialect has no
    other way for one."""

    media_type: str
    data: str
    filename: str
    text: str | None


Put = Callable[[Content], None]


@dataclass(frozen=True, slots=True)
class Named:
    """path: where it stands, as refusals name it.  kind: what its place takes: a picture, any file,
    or what Messages calls a document: a PDF file or text."""

    path: str
    file_id: str
    kind: Kind
    put: Put


def may_hold(body: bytes) -> bool:
    """A cheap look: False for nearly all requests, and never for one that names a file, unless it
    spells the word out of its own way; whoever parses it refuses that."""
    return body.find(b"file_") >= 0 and (
        b"file_id" in body or b"ileUri" in body or b"file_uri" in body
    )


def unread(path: str, file_id: str) -> errors.Refusal:
    """For whoever parses a request in which an id is left: it must not reach an engine, whose
    provider might know a file of that name."""
    return errors.UNSUPPORTED_FEATURE(
        f"{path!r} is {shown(file_id)}, which was not read: the word 'file_id' has to be spelled "
        "without escapes.",
        field=path,
        value=brief(file_id),
        limit="base64",
        remedy="Send the file inline, in base64.",
    )


def named_in(document: dict[str, Any]) -> Iterator[Named]:
    """In the order of the text."""
    for at, message in _objects(document.get("messages")):
        yield from _in_parts(f"messages[{at}].content", message.get("content"))
    for at, item in _objects(document.get("input")):
        for member in ("content", "output"):
            yield from _in_parts(f"input[{at}].{member}", item.get(member))
    for at, content in _objects(document.get("contents")):
        yield from _in_gemini(f"contents[{at}].parts", content.get("parts"))
    for member in ("generateContentRequest", "generate_content_request"):
        asked = document.get(member)
        if isinstance(asked, dict):
            yield from named_in(asked)


def _in_parts(path: str, parts: Any) -> Iterator[Named]:
    """Of Chat, Responses and Messages: each has its own word for a part that names a file."""
    for at, part in _objects(parts):
        here = f"{path}[{at}]"
        match part:
            case {"type": "file", "file": {"file_id": str(file_id)} as file}:
                yield Named(f"{here}.file.file_id", file_id, "file", _into_file(file))
            case {"type": "input_file", "file_id": str(file_id)}:
                yield Named(f"{here}.file_id", file_id, "file", _into_file(part))
            case {"type": "input_image", "file_id": str(file_id)}:
                yield Named(f"{here}.file_id", file_id, "image", _into_image(part))
            case {
                "type": "image" | "document" as kind,
                "source": {"type": "file", "file_id": str(file_id)},
            }:
                place = f"{here}.source.file_id"
                yield Named(place, file_id, kind, _into_source(part))
            case {"type": "document", "source": {"type": "content", "content": inner}}:
                yield from _in_parts(f"{here}.source.content", inner)
            case {"type": "tool_result"}:
                yield from _in_parts(f"{here}.content", part.get("content"))


def _into_file(holder: dict[str, Any]) -> Put:
    def put(content: Content) -> None:
        del holder["file_id"]
        holder.pop("file_url", None)
        holder["file_data"] = f"data:{content.media_type};base64,{content.data}"
        if not isinstance(holder.get("filename"), str):
            holder["filename"] = content.filename

    return put


def _into_image(part: dict[str, Any]) -> Put:
    def put(content: Content) -> None:
        del part["file_id"]
        part["image_url"] = f"data:{content.media_type};base64,{content.data}"

    return put


def _into_source(part: dict[str, Any]) -> Put:
    def put(content: Content) -> None:
        if content.text is not None:
            part["source"] = {"type": "text", "media_type": "text/plain", "data": content.text}
        else:
            source = {"type": "base64", "media_type": content.media_type, "data": content.data}
            part["source"] = source
        if part["type"] == "document" and not isinstance(part.get("title"), str):
            part["title"] = content.filename

    return put


def _in_gemini(path: str, parts: Any) -> Iterator[Named]:
    for at, part in _objects(parts):
        for member, inner, uri in uris_of_gemini(part):
            found = _OF_GEMINI.fullmatch(uri)
            if found:
                place = f"{path}[{at}].{member}.{inner}"
                yield Named(place, found[1], "file", _into_blob(part, member))


def uris_of_gemini(part: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What a part calls its file, the member inside, and where it is said to be.  Google's own SDK
    writes the one word this way and the other that way."""
    for member in ("fileData", "file_data"):
        file = part.get(member)
        for inner in ("fileUri", "file_uri"):
            uri = file.get(inner) if isinstance(file, dict) else None
            if isinstance(uri, str):
                yield member, inner, uri
                break


def _into_blob(part: dict[str, Any], member: str) -> Put:
    def put(content: Content) -> None:
        del part[member]
        kind = "text/plain" if content.text is not None else content.media_type
        part["inlineData"] = {
            "mimeType": kind,
            "data": content.data,
            "displayName": content.filename,
        }

    return put


def _objects(items: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield at, item

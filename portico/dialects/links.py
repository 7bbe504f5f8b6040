"""Files that a request names by URL, in the four places where a dialect may: found, and put inline.

Pure: whoever fetches is elsewhere, and once a request is parsed there are only `data:` URLs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from portico.dialects import stored

_MARKS = (b"image_url", b"file_url", b'"url"', b"fileUri", b"file_uri")
_PNG, _JPEG, _PDF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%PDF-"

Kind = Literal["image", "file"]
Put = Callable[[str, str], None]
"""Media type and base64, in the place of the URL."""


@dataclass(frozen=True, slots=True)
class Link:
    """path: where it stands, as refusals name it.  kind: what it has to be; a file may be anything
    that `media_type` knows."""

    path: str
    url: str
    kind: Kind
    put: Put


def may_hold(body: bytes) -> bool:
    """A cheap look: False for nearly all requests, and never for one with a link in it, or with the
    id of a file that is kept here."""
    linked = body.find(b"http") >= 0 and any(mark in body for mark in _MARKS)
    return linked or stored.may_hold(body)


def links_in(document: dict[str, Any]) -> Iterator[Link]:
    """In the order of the text."""
    for at, message in _objects(document.get("messages")):
        yield from _in_parts(f"messages[{at}].content", message.get("content"))
    for at, item in _objects(document.get("input")):
        for member in ("content", "output"):
            yield from _in_parts(f"input[{at}].{member}", item.get(member))
    for at, content in _objects(document.get("contents")):
        yield from _in_gemini(f"contents[{at}].parts", content.get("parts"))


def media_type(data: bytes) -> str:
    """What a file is by its first bytes, whoever says what; "" for what no model takes."""
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(_JPEG):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return "application/pdf" if data.startswith(_PDF) else ""


def fits(kind: Kind, found: str) -> bool:
    return found.startswith("image/") if kind == "image" else bool(found)


def _in_parts(path: str, parts: Any) -> Iterator[Link]:
    """Of Chat, Responses and Messages: each has its own word for a part that names a file."""
    for at, part in _objects(parts):
        here = f"{path}[{at}]"
        match part.get("type"):
            case "image_url" if isinstance(part.get("image_url"), dict):
                yield from _url(f"{here}.image_url.url", part["image_url"], "url", "image")
            case "input_image":
                yield from _url(f"{here}.image_url", part, "image_url", "image")
            case "input_file":
                yield from _file(here, part)
            case "image" | "document" as kind:
                yield from _source(here, part, "image" if kind == "image" else "file")
            case "tool_result":
                yield from _in_parts(f"{here}.content", part.get("content"))


def _url(path: str, holder: dict[str, Any], member: str, kind: Kind) -> Iterator[Link]:
    url = _link(holder.get(member))
    if url:

        def put(media_type: str, data: str) -> None:
            holder[member] = f"data:{media_type};base64,{data}"

        yield Link(path, url, kind, put)


def _file(path: str, part: dict[str, Any]) -> Iterator[Link]:
    url = _link(part.get("file_url"))
    if url:

        def put(media_type: str, data: str) -> None:
            del part["file_url"]
            part["file_data"] = f"data:{media_type};base64,{data}"
            part.setdefault("filename", url.rpartition("/")[2].partition("?")[0][:64] or "file")

        yield Link(f"{path}.file_url", url, "file", put)


def _source(path: str, part: dict[str, Any], kind: Kind) -> Iterator[Link]:
    source = part.get("source")
    if not isinstance(source, dict) or source.get("type") != "url":
        return
    url = _link(source.get("url"))
    if url:

        def put(media_type: str, data: str) -> None:
            part["source"] = {"type": "base64", "media_type": media_type, "data": data}

        yield Link(f"{path}.source.url", url, kind, put)


def _in_gemini(path: str, parts: Any) -> Iterator[Link]:
    for at, part in _objects(parts):
        for member, inner, uri in stored.uris_of_gemini(part):
            url = _link(uri)
            if url:
                yield _of_gemini(f"{path}[{at}].{member}.{inner}", part, member, url)


def _of_gemini(path: str, part: dict[str, Any], member: str, url: str) -> Link:
    def put(media_type: str, data: str) -> None:
        del part[member]
        part["inlineData"] = {"mimeType": media_type, "data": data}

    return Link(path, url, "file", put)


def _objects(items: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield at, item


def _link(url: Any) -> str:
    """Empty for what is none."""
    if isinstance(url, str) and url[:8].lower().startswith(("http://", "https://")):
        return url
    return ""

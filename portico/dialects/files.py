"""Files that stand inline in a request, in the places where each dialect may have them: found, and
others put where they were.

Pure.  On the document as it came and not on the canon, so that what passes through untranslated
holds what was put there, too; every other member keeps its place.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from portico.canon.conversation import ImagePart, TextPart
from portico.dialects.gemini.contents.signatures import standard
from portico.dialects.media import kind_and_data

Kind = Literal["image", "audio", "file"]
Made = TextPart | ImagePart
Object = dict[str, Any]
Write = Callable[[Made], Object]
Put = Callable[[str, str], None]
"""Media type and base64."""


@dataclass(frozen=True, slots=True)
class Inline:
    """path: where the file stands, as refusals name it.
    kind: what its place says it is; media_type: what the caller says, "" where nothing.
    data: base64.  name: "" where it has none.
    put: another file into the same place, which keeps what else is said there.
    holder, at: the list its part stands in, and where.  write: a part of the dialect.
    about: text that goes with it.  cited: answers were to cite it.
    """

    path: str
    kind: Kind
    media_type: str
    data: str
    put: Put
    holder: list[Any]
    at: int
    write: Write
    name: str = ""
    about: str = ""
    cited: bool = False


def files_in(document: Object) -> Iterator[Inline]:
    """In the order of the text, of a document that was parsed without a refusal."""
    for at, message in _objects(document.get("messages")):
        yield from _in_parts(f"messages[{at}].content", message.get("content"))
    for at, item in _objects(document.get("input")):
        for member in ("content", "output"):
            yield from _in_parts(f"input[{at}].{member}", item.get(member))
    for at, content in _objects(document.get("contents")):
        yield from _in_gemini(f"contents[{at}].parts", content.get("parts"), _gemini)
    system = _either(document, "systemInstruction", "system_instruction")
    if isinstance(system, dict):
        yield from _in_gemini("systemInstruction.parts", system.get("parts"), _gemini)
    asked = _either(document, "generateContentRequest", "generate_content_request")
    if isinstance(asked, dict):
        yield from files_in(asked)


def replace(changes: Iterable[tuple[Inline, Sequence[Made]]]) -> None:
    """Each file by parts.  changes: in the order of `files_in`."""
    for file, parts in reversed(list(changes)):  # from the end, where places do not move
        file.holder[file.at : file.at + 1] = [file.write(part) for part in parts]


def _in_parts(path: str, parts: Any) -> Iterator[Inline]:
    """Of Chat, Responses and Messages: each has its own word for a part that is a file."""
    for at, part in _objects(parts):
        here = f"{path}[{at}]"
        match part:
            case {"type": "image_url", "image_url": {"url": str(url)} as image}:
                yield _picture(f"{here}.image_url.url", url, image, "url", parts, at)
            case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
                place = f"{here}.input_audio.data"
                yield Inline(place, "audio", f"audio/{form}", data, _nowhere, parts, at, _chat)
            case {"type": "file", "file": {"file_data": str()} as file}:
                yield _file(f"{here}.file.file_data", file, "file_data", parts, at, _chat)
            case {"type": "image" | "document", "source": {"type": "base64"}}:
                yield _source(here, part, parts, at)
            case {"type": "document", "source": {"type": "content", "content": list(inner)}}:
                yield from _in_parts(f"{here}.source.content", inner)
            case {"type": "tool_result"}:
                yield from _in_parts(f"{here}.content", part.get("content"))
            case _:
                yield from _in_input(here, part, parts, at)


def _in_input(path: str, part: Object, parts: list[Any], at: int) -> Iterator[Inline]:
    """Of Responses alone."""
    match part:
        case {"type": "input_image", "image_url": str(url)}:
            yield _picture(f"{path}.image_url", url, part, "image_url", parts, at)
        case {"type": "input_file", "file_data": str()}:
            yield _file(f"{path}.file_data", part, "file_data", parts, at, _responses)
        case {"type": "input_file", "file_url": str()}:
            yield _file(f"{path}.file_url", part, "file_url", parts, at, _responses)


def _picture(path: str, url: str, holder: Object, member: str, parts: list[Any], at: int) -> Inline:
    def put(media_type: str, data: str) -> None:
        holder[member] = f"data:{media_type};base64,{data}"

    return Inline(path, "image", *kind_and_data(url), put, parts, at, _chat)


def _file(
    path: str, holder: Object, member: str, parts: list[Any], at: int, write: Write
) -> Inline:
    name = holder.get("filename")
    media_type, data = kind_and_data(holder[member])
    named = name if isinstance(name, str) else ""
    return Inline(path, "file", media_type, data, _nowhere, parts, at, write, named)


def _source(path: str, part: Object, parts: list[Any], at: int) -> Inline:
    source = part["source"]

    def put(media_type: str, data: str) -> None:
        part["source"] = {"type": "base64", "media_type": media_type, "data": data}

    citations = part.get("citations")
    return Inline(
        f"{path}.source.data",
        "image" if part["type"] == "image" else "file",
        source["media_type"],
        source["data"],
        put,
        parts,
        at,
        _messages,
        part.get("title") or "",
        part.get("context") or "",
        isinstance(citations, dict) and citations.get("enabled") is True,
    )


def _in_gemini(path: str, parts: Any, write: Write) -> Iterator[Inline]:
    for at, part in _objects(parts):
        here = f"{path}[{at}]"
        blob = _either(part, "inlineData", "inline_data")
        response = _either(part, "functionResponse", "function_response")
        if isinstance(blob, dict):
            yield _blob(f"{here}.inlineData.data", blob, parts, at, write)
        if isinstance(response, dict):
            inner = response.get("parts")
            yield from _in_gemini(f"{here}.functionResponse.parts", inner, _in_response)


def _blob(path: str, blob: Object, parts: list[Any], at: int, write: Write) -> Inline:
    said = str(_either(blob, "mimeType", "mime_type")).lower().partition(";")[0].strip()

    def put(media_type: str, data: str) -> None:
        blob.pop("mime_type", None)
        blob.update(mimeType=media_type, data=data)

    kind: Kind = "file"
    if said.startswith("image/"):
        kind = "image"
    elif said.startswith("audio/"):
        kind = "audio"
    name = _either(blob, "displayName", "display_name") or ""
    return Inline(path, kind, said, standard(blob["data"]), put, parts, at, write, name)


def _chat(part: Made) -> Object:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.url}}


def _responses(part: Made) -> Object:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    return {"type": "input_image", "image_url": part.url, "detail": "auto"}


def _messages(part: Made) -> Object:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    media_type, data = kind_and_data(part.url)
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source}


def _gemini(part: Made) -> Object:
    if isinstance(part, TextPart):
        return {"text": part.text}
    media_type, data = kind_and_data(part.url)
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _in_response(part: Made) -> Object:
    """There is no part of text in the answer of a function, but a file of text there may be."""
    if isinstance(part, ImagePart):
        return _gemini(part)
    data = b64encode(part.text.encode()).decode()
    return {"inlineData": {"mimeType": "text/plain", "data": data}}


def _nowhere(media_type: str, data: str) -> None:
    raise TypeError(media_type)


def _either(holder: Object, camel: str, snake: str) -> Any:
    return holder[camel] if camel in holder else holder.get(snake)


def _objects(items: Any) -> Iterator[tuple[int, Object]]:
    for at, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield at, item

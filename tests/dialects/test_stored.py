"""Where each dialect may name a file that is kept here, and what stands there afterwards."""

import json
from typing import Any

import pytest

from portico.dialects import links, stored
from portico.dialects.stored import Content

ID = "file_" + "0a" * 16
PDF = Content("application/pdf", "JVBERi0=", "a.pdf", None)
TEXT = Content("text/plain", "aGk=", "a.txt", "hi")


def filled(document: Any, content: Content) -> list[str]:
    """Puts `content` wherever a file is named; the paths."""
    body = json.dumps(document).encode()
    assert stored.may_hold(body)
    assert links.may_hold(body)
    paths = []
    for named in stored.named_in(document):
        assert named.file_id == ID
        named.put(content)
        paths.append(named.path)
    assert ID not in json.dumps(document)
    return paths


def test_chat() -> None:
    file: dict[str, Any] = {"file_id": ID}
    document = {"messages": [{"content": "x"}, {"content": [{"type": "file", "file": file}]}]}
    assert filled(document, PDF) == ["messages[1].content[0].file.file_id"]
    assert file == {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}


@pytest.mark.parametrize("member", ["content", "output"])
def test_responses(member: str) -> None:
    file: dict[str, Any] = {"type": "input_file", "file_id": ID, "filename": "mine.pdf"}
    image: dict[str, Any] = {"type": "input_image", "file_id": ID, "detail": "low"}
    document = {"input": [{member: [file, image]}]}
    assert filled(document, PDF) == [f"input[0].{member}[{at}].file_id" for at in range(2)]
    data = "data:application/pdf;base64,JVBERi0="
    assert file == {"type": "input_file", "filename": "mine.pdf", "file_data": data}
    assert image == {"type": "input_image", "detail": "low", "image_url": data}


def source() -> dict[str, Any]:
    return {"type": "file", "file_id": ID}


def test_messages() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "document", "source": source()},
        {"type": "image", "source": source()},
        {"type": "tool_result", "content": [{"type": "document", "source": source()}]},
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "image", "source": source()}]},
        },
    ]
    assert filled({"messages": [{"content": blocks}]}, PDF) == [
        "messages[0].content[0].source.file_id",
        "messages[0].content[1].source.file_id",
        "messages[0].content[2].content[0].source.file_id",
        "messages[0].content[3].source.content[0].source.file_id",
    ]
    inline = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert blocks[0] == {"type": "document", "source": inline, "title": "a.pdf"}
    assert blocks[1] == {"type": "image", "source": inline}


def test_a_text_in_messages_is_no_base64() -> None:
    block: dict[str, Any] = {"type": "document", "source": source(), "title": "Notes"}
    filled({"messages": [{"content": [block]}]}, TEXT)
    text = {"type": "text", "media_type": "text/plain", "data": "hi"}
    assert block == {"type": "document", "source": text, "title": "Notes"}


@pytest.mark.parametrize("member", ["fileData", "file_data"])
@pytest.mark.parametrize("inner", ["fileUri", "file_uri"])
@pytest.mark.parametrize("uri", [ID, f"files/{ID}"])
def test_gemini(member: str, inner: str, uri: str) -> None:
    part: dict[str, Any] = {member: {inner: uri}}
    document = {"generateContentRequest": {"contents": [{"parts": [part]}]}}
    assert filled(document, PDF) == [f"contents[0].parts[0].{member}.{inner}"]
    assert part == {
        "inlineData": {
            "mimeType": "application/pdf",
            "data": "JVBERi0=",
            "displayName": "a.pdf",
        }
    }


@pytest.mark.parametrize("uri", [f"https://x.example/files/{ID}", "files/abc", f"{ID}0", 1, None])
def test_what_somebody_else_keeps_is_not_ours(uri: Any) -> None:
    assert list(stored.named_in({"contents": [{"parts": [{"fileData": {"fileUri": uri}}]}]})) == []


@pytest.mark.parametrize("odd", [None, 5, "x", [], [None, 5, "x", [[]]], {"type": "file"}])
def test_odd_documents_name_nothing(odd: Any) -> None:
    for document in (
        {"messages": odd, "input": odd, "contents": odd},
        {"messages": [{"content": odd}], "input": [{"output": odd}], "contents": [{"parts": odd}]},
        {"messages": [{"content": [{"type": "file", "file": odd}, {"type": "image"}]}]},
        {"contents": [{"parts": [{"fileData": odd}]}]},
    ):
        assert list(stored.named_in(document)) == []


def test_an_ordinary_request_is_not_looked_into() -> None:
    for said in ("a profile_picture", "file an issue", "https://x.example/file_1"):
        assert not stored.may_hold(json.dumps({"messages": [{"content": said}]}).encode())

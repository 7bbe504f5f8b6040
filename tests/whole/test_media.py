"""Files sent to a server as users start it: in every dialect, and made to hurt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.media.corpus import (
    base64,
    blank_png,
    locked_pdf,
    looped_pdf,
    lying_png,
    many_frames,
    pdf,
    pdf_with,
    picture,
    strewn_pdf,
)
from tests.whole.conftest import Served
from tests.whole.wire import ask, post

ECHO = "sim-echo"
PAPER = base64(pdf("The tower is 17 m high"))
READ = "[tower.pdf, page 1 of 1]\nThe tower is 17 m high"
PDF_TYPE = "application/pdf"


def shown(data: bytes) -> dict[str, Any]:
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64(data)}"},
    }


def paper(data: bytes) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": base64(data), "filename": "tower.pdf"}}


WAYS: dict[str, tuple[str, dict[str, Any], Callable[[Any], str]]] = {
    "chat": (
        "/v1/chat/completions",
        {
            "model": ECHO,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "file",
                            "file": {
                                "file_data": f"data:{PDF_TYPE};base64,{PAPER}",
                                "filename": "tower.pdf",
                            },
                        }
                    ],
                }
            ],
        },
        lambda said: said["choices"][0]["message"]["content"],
    ),
    "responses": (
        "/v1/responses",
        {
            "model": ECHO,
            "input": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_file",
                            "file_data": f"data:{PDF_TYPE};base64,{PAPER}",
                            "filename": "tower.pdf",
                        }
                    ],
                }
            ],
        },
        lambda said: said["output"][-1]["content"][0]["text"],
    ),
    "messages": (
        "/v1/messages",
        {
            "model": ECHO,
            "max_tokens": 200,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "title": "tower.pdf",
                            "source": {"type": "base64", "media_type": PDF_TYPE, "data": PAPER},
                        }
                    ],
                }
            ],
        },
        lambda said: said["content"][0]["text"],
    ),
    "messages, as text": (
        "/v1/messages",
        {
            "model": ECHO,
            "max_tokens": 200,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "title": "[tower.pdf, page 1 of 1]",
                            "source": {
                                "type": "text",
                                "media_type": "text/plain",
                                "data": "The tower is 17 m high",
                            },
                        }
                    ],
                }
            ],
        },
        lambda said: said["content"][0]["text"],
    ),
    "gemini": (
        f"/v1beta/models/{ECHO}:generateContent",
        {
            "contents": [
                {
                    "parts": [
                        {
                            "inline_data": {
                                "mime_type": PDF_TYPE,
                                "data": PAPER,
                                "display_name": "tower.pdf",
                            }
                        }
                    ]
                }
            ]
        },
        lambda said: said["candidates"][0]["content"]["parts"][0]["text"],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_paper_reaches_an_engine_as_text_in_every_dialect(served: Served, way: str) -> None:
    path, asked, text_of = WAYS[way]
    status, headers, body = post(served, path, json.dumps(asked).encode())
    assert (status, text_of(json.loads(body))) == (200, READ)
    assert ("mapped" in headers.get("portico-warnings", "")) == (way != "messages, as text")


BOMBS: dict[str, tuple[Callable[[], dict[str, Any]], int, str]] = {
    "64 million pixels": (lambda: shown(blank_png(8_000, 8_000)), 413, "media_too_large"),
    "200 MB behind a small header": (
        lambda: shown(lying_png(10, 10, 200_000_000)),
        400,
        "invalid_media",
    ),
    "a JPEG cut off": (
        lambda: shown(picture("RGB", (300, 300), "JPEG")[:700]),
        400,
        "invalid_media",
    ),
    "no picture": (lambda: shown(b"\x89PNG\r\n\x1a\n" + bytes(40)), 400, "invalid_media"),
    "100 MiB of one word": (
        lambda: paper(pdf_with(b"(" + b"a" * 104_857_600 + b") Tj")),
        400,
        "invalid_media",
    ),
    "10,000 pages": (lambda: paper(pdf(*["x"] * 10_000)), 413, "media_too_large"),
    "its own child": (lambda: paper(looped_pdf()), 400, "invalid_media"),
    "a table of nothing": (lambda: paper(strewn_pdf()), 400, "invalid_media"),
    "a password": (lambda: paper(locked_pdf()), 400, "invalid_media"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_name(served: Served, name: str) -> None:
    make, status, code = BOMBS[name]
    before = peak_bytes(served)
    messages = [{"role": "user", "content": [{"type": "text", "text": "Read"}, make()]}]
    answered, _, body = ask(served, model=ECHO, messages=messages)
    error = json.loads(body)["error"]
    assert (answered, error["code"]) == (status, code), error
    assert error["param"].startswith("messages[0].content[1].")
    # The server itself has held the request a few times, and nothing that was in it.
    assert peak_bytes(served) - before < 60_000_000


def test_ten_thousand_frames_are_one_picture(served: Served) -> None:
    said = [
        {"role": "user", "content": [shown(many_frames(10_000)), {"type": "text", "text": "a"}]}
    ]
    status, headers, _ = ask(served, model=ECHO, messages=said)
    assert status == 200
    assert "image_url.url" in headers["portico-warnings"]


def test_preflight_says_what_is_wrong_with_a_file(served: Served) -> None:
    asked = {
        "model": ECHO,
        "messages": [{"role": "user", "content": [paper(locked_pdf())]}],
    }
    _, _, body = post(served, "/v1/preflight", json.dumps(asked).encode())
    told = json.loads(body)
    assert told["valid"] is False
    assert [each["code"] for each in told["violations"]] == ["invalid_media"]
    asked["messages"][0]["content"] = [paper(pdf("Hi"))]  # type: ignore[index]  # of JSON
    _, _, body = post(served, "/v1/preflight", json.dumps(asked).encode())
    told = json.loads(body)
    assert told["valid"] is True
    assert set(told["tokens"]["input"]) == {"text"}


def test_a_paper_can_be_counted(served: Served) -> None:
    path, asked, _ = WAYS["messages"]
    counted = {name: said for name, said in asked.items() if name != "max_tokens"}
    status, _, body = post(served, f"{path}/count_tokens", json.dumps(counted).encode())
    assert status == 200
    assert 5 < json.loads(body)["input_tokens"] < 100


def peak_bytes(served: Served) -> int:
    for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError

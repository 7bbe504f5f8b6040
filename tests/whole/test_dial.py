"""Keys that are strict, warned or adapted, and files by URL, at a running server."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.listening import listening
from tests.whole.conftest import Served

CHAT: dict[str, Any] = {"model": "sim-echo", "messages": [{"role": "user", "content": "Hi"}]}


def ask(served: Served, key: str, body: dict[str, Any], **headers: str) -> tuple[int, Any, Any]:
    """Status, headers, JSON."""
    asked = urllib.request.Request(
        f"{served.base_url}/chat/completions",
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "OpenAI-Beta": "nobody-knows-2031-01-01",
            **headers,
        },
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, json.loads(refused.read())


def test_a_key_decides_what_becomes_of_what_nobody_knows(served: Served) -> None:
    strict = served.cli("key", "create", "--name", "strict", "--compatibility", "strict")["api_key"]
    status, _, told = ask(served, strict, {**CHAT, "mystery": 1})
    assert (status, told["error"]["code"]) == (400, "unknown_field")
    assert told["error"]["param"] == "mystery"
    assert ask(served, strict, CHAT)[0] == 200

    status, headers, told = ask(served, served.api_key, {**CHAT, "mystery": 1})
    warning = 'not_supported; field="mystery"; action=dropped'
    assert (status, headers["portico-warnings"], told["warnings"]) == (200, warning, [warning])
    status, headers, told = ask(served, served.api_key, CHAT)
    assert (status, headers["portico-warnings"], "warnings" in told) == (200, None, False)


def test_many_warnings_fit_into_a_head(served: Served) -> None:
    more = {f"a_field_that_nobody_knows_{at}": 1 for at in range(100)}
    status, headers, told = ask(served, served.api_key, {**CHAT, **more})
    assert status == 200
    assert len(headers["portico-warnings"]) <= 1_024
    assert ", more=" in headers["portico-warnings"]
    assert len(told["warnings"]) == 100


@pytest.mark.parametrize("fetch", ["true", "false"])
def test_edge_25_a_url_into_the_operators_network_reaches_nobody(
    serve: Callable[..., Served], fetch: str
) -> None:
    reached: list[bytes] = []

    async def against(served: Served) -> list[tuple[int, Any, Any]]:
        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.append(b"somebody")
            writer.close()

        async with listening(note) as port:
            urls = [f"http://127.0.0.1:{port}/x.png", f"http://localhost:{port}/", "http://[::1]/"]
            return [
                await asyncio.to_thread(ask, served, served.api_key, with_image(url))
                for url in urls
            ]

    served = serve(
        "--simulated",
        env={"PORTICO_MEDIA_FETCH": fetch, "PORTICO_MEDIA_FETCH_HTTP": "true"},
    )
    for status, _, told in asyncio.run(against(served)):
        assert (status, told["error"]["code"]) == (400, "media_url_not_supported")
        assert "media.fetch" in told["error"]["remedy"]
    assert reached == []


def with_image(url: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"model": "sim-echo", "messages": [{"role": "user", "content": [part]}]}

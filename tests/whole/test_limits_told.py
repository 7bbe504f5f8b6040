"""Whatever a key reads, it is told what is left of its requests at once."""

import urllib.error
import urllib.request
from http.client import HTTPMessage

import pytest

from tests.door.test_openapi import DOCUMENT
from tests.whole.conftest import Served

READ = [
    path
    for path, ways in DOCUMENT["paths"].items()
    if "get" in ways and ways["get"].get("security") != []
]


def heads(url: str, key: str) -> HTTPMessage:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.headers


@pytest.mark.parametrize("path", READ)
def test_what_is_read_tells_what_is_left(served: Served, path: str) -> None:
    root = served.base_url.removesuffix("/v1")
    told = heads(root + path.replace("{id}", "none"), served.api_key)
    assert len(told.get_all("portico-concurrency-limit") or ()) == 1
    assert "portico-concurrency-remaining" in told


def test_there_is_something_to_read() -> None:
    assert {"/v1/models", "/v1/usage", "/v1/balance", "/v1/limits"} <= set(READ)

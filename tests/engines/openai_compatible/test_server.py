"""An upstream's address, read from what an operator types."""

import pytest

from portico.engines.openai_compatible.server import server_at
from portico.engines.transport.base import Origin


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://gpu:8000", ("http", "gpu", 8000), "/v1/chat/completions"),
        ("http://gpu:8000/", ("http", "gpu", 8000), "/v1/chat/completions"),
        ("http://gpu:8000/v1", ("http", "gpu", 8000), "/v1/chat/completions"),
        (" http://gpu:8000/v1/ ", ("http", "gpu", 8000), "/v1/chat/completions"),
        ("https://api.example", ("https", "api.example", 443), "/v1/chat/completions"),
        ("http://[::1]:1/v1", ("http", "::1", 1), "/v1/chat/completions"),
        ("https://h/a/b/v1", ("https", "h", 443), "/a/b/v1/chat/completions"),
        ("https://h/apiv1", ("https", "h", 443), "/apiv1/v1/chat/completions"),
    ],
)
def test_urls_with_and_without_v1(url, origin, target):
    server = server_at(url)
    assert server.origin == Origin(*origin)
    assert server.chat_target == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gpu:8000",
        "ftp://gpu",
        "http://",
        "http://h:99999",
        "http://h/?a=b",
        "http://h/#a",
        "http://user:hunter2@h/v1",
    ],
)
def test_other_urls_are_refused_in_words_that_hold_no_credential(url):
    with pytest.raises(ValueError, match=r"upstream URL") as refused:
        server_at(url)
    assert "hunter2" not in str(refused.value)


def test_key_and_extra_headers_are_sent_and_not_shown():
    server = server_at("http://h", "sk-secret", {"X-Tenant": "a"})
    assert (b"Authorization", b"Bearer sk-secret") in server.headers
    assert (b"X-Tenant", b"a") in server.headers
    assert "secret" not in server.shown()


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", "x"), ("content-length", "1"), ("X: y", "z"), ("", "z"), ("X", "a\r\nY: b")],
)
def test_an_extra_header_cannot_break_the_request(name, value):
    with pytest.raises(ValueError, match="header"):
        server_at("http://h", extra_headers={name: value})
    with pytest.raises(ValueError, match="API key"):
        server_at("http://h", "key\r\nX: y")

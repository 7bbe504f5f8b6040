"""The guard alone: what it would still refuse if the parser one day did not."""

import pytest

from portico.door.framing.guard import Head, decoded_path, refusal_for, target_of
from portico.door.limits import EdgeLimits
from portico.errors import Refusal

HOST = {b"host": b"door.test"}


def head(
    fields: dict[bytes, bytes],
    *,
    repeated: frozenset[bytes] = frozenset(),
    url: bytes = b"/",
    version: str = "1.1",
    method: bytes = b"POST",
) -> Head:
    return Head(method, url, version, fields, set(repeated), len(fields) + len(repeated), 100)


def code(doubtful: Head) -> str:
    refusal = refusal_for(doubtful, EdgeLimits(), frozenset())
    return "" if refusal is None else refusal.code


@pytest.mark.parametrize(
    "doubtful",
    [
        head({**HOST, b"content-length": b"1", b"transfer-encoding": b"chunked"}),
        head({**HOST, b"content-length": b"1, 1"}, repeated=frozenset({b"content-length"})),
        head({**HOST, b"transfer-encoding": b"chunked, identity"}),
        head({**HOST, b"transfer-encoding": b"chunked"}, version="1.0"),
        head(HOST, version="2.0"),
        head(HOST, version="0.9"),
    ],
)
def test_doubtful_framing_is_refused(doubtful: Head) -> None:
    assert code(doubtful) == "bad_request"


@pytest.mark.parametrize("host", ["door.test", "DOOR:80", "[::1]", "[::1]:8080", "10.0.0.1:1"])
def test_a_name_and_perhaps_a_port_is_a_host(host: str) -> None:
    assert code(head({b"host": host.encode()})) == ""


@pytest.mark.parametrize("host", ["", "a/b", "a?b", "a#b", "u@a", "a b", "a,b", "a\\b", "a\tb"])
def test_anything_else_is_not(host: str) -> None:
    assert code(head({b"host": host.encode()})) == "bad_host"


@pytest.mark.parametrize(
    ("url", "method", "target"),
    [
        (b"/a?b=c?d", b"GET", (b"/a", b"b=c?d")),
        (b"*", b"OPTIONS", (b"*", b"")),
        (b"http://door.test/x?y", b"GET", (b"/x", b"y")),
        (b"http://DOOR.test", b"GET", (b"/", b"")),
    ],
)
def test_the_target_is_a_path_and_a_query(
    url: bytes, method: bytes, target: tuple[bytes, bytes]
) -> None:
    assert target_of(head(HOST, url=url, method=method)) == target


@pytest.mark.parametrize(
    "url",
    [b"*", b"door.test:443", b"ftp://door.test/", b"http://u@door.test/", b"http://door.test:1/"],
)
def test_any_other_target_is_refused(url: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        target_of(head(HOST, url=url, method=b"CONNECT"))
    assert refused.value.status == 400


def test_a_path_is_utf_8_or_refused() -> None:
    assert decoded_path(b"/m/a%2Fb%20c%C3%A9") == "/m/a/b cé"
    with pytest.raises(Refusal):
        decoded_path(b"/%ff")

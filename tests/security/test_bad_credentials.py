"""What is sent where a key should stand, and is none: one clear refusal each, the same at every door.

Portico gives out no tokens and takes none: no JWT library is among its imports
(tests/house/test_unsafe_code.py), so that what such a token says of its own signature is never read.
"""

import json
from base64 import urlsafe_b64encode
from itertools import product

import pytest

from portico.callers.rules import new_key
from tests.security.test_incidents import HI, sent
from tests.whole.conftest import Served

DOORS = ("GET /v1/models", "POST /v1/chat/completions", "GET /v1/usage", "POST /v1/ephemeral_keys",
         "GET /admin/v1/projects", "POST /admin/v1/keys")  # fmt: skip
ONE, OTHER = new_key("live"), new_key("live")
PLACES = {
    "Authorization": "Authorization: Bearer {}",
    "authorization": "authorization: bearer {}",
    "x-api-key": "x-api-key: {}",
    "X-Goog-Api-Key": "X-Goog-Api-Key: {}",
    "?key=": "",
}


def part(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


CLAIMS = {"sub": "operator", "scope": "*", "aud": "portico", "exp": 4_102_444_800, "nonce": "n"}
JWK = {"kty": "oct", "k": part("secret")}
TOKENS = {
    "alg none": f"{part({'alg': 'none'})}.{part(CLAIMS)}.",
    "alg None, signed with nothing": f"{part({'alg': 'None', 'typ': 'JWT'})}.{part(CLAIMS)}.AA",
    "HS256 where RS256 was meant": f"{part({'alg': 'HS256', 'kid': '../pepper'})}.{part(CLAIMS)}.AA",
    "an embedded jwk": f"{part({'alg': 'HS256', 'jwk': JWK})}.{part(CLAIMS)}.AAAA",
    "a jku of the sender's": f"{part({'alg': 'RS256', 'jku': 'http://127.0.0.1/'})}.{part(CLAIMS)}.A",
    "an unknown crit": f"{part({'alg': 'HS256', 'crit': ['x'], 'x': 1})}.{part(CLAIMS)}.AA",
    "CRC wrong": ONE[:-1] + ("a" if ONE[-1] != "a" else "b"),
    "one letter more": ONE + "a",
    "another kind in front": ONE.replace("pk_live_", "pk_test_"),
    "no kind": "pk_root_" + ONE.removeprefix("pk_live_"),
    "in small letters": ONE.lower(),
    "an invitation": "pk_invite_" + "a" * 43,
    "of another brand": "sk-ant-api03-" + "a" * 80,
}


def refused(served: Served, door: str, *lines: str, query: str = "") -> tuple[int, str, str]:
    """Status, code and message."""
    method, _, path = door.partition(" ")
    body = {"model": "sim-echo", "messages": HI} if method == "POST" else None
    heard = sent(served, method, path + query, *lines, body=body)
    error = json.loads(heard.body)["error"]
    # With ?key= or x-goog-api-key at /v1/models, it is Google's SDK that asks.
    return heard.status, str(error.get("code") or error.get("status")), error["message"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("token", TOKENS)
def test_401_and_in_the_same_words(guarded: Served, door: str, token: str) -> None:
    status, code, message = refused(guarded, door, f"Authorization: Bearer {TOKENS[token]}")
    garbage = refused(guarded, door, "Authorization: Bearer garbage")
    assert (status, code, message) == garbage
    assert (status, code) == (401, "invalid_api_key")


@pytest.mark.parametrize("door", DOORS)
def test_a_key_that_never_was_and_one_of_another_door_are_alike(guarded: Served, door: str) -> None:
    admin = guarded.cli("admin-key", "create", "--name", "x")["api_key"]
    foreign = guarded.api_key if "/admin/" in door else admin
    never = [new_key(kind) for kind in ("live", "test", "admin", "ephemeral")]
    told = {refused(guarded, door, f"Authorization: Bearer {each}") for each in [foreign, *never]}
    (alike,) = told
    assert alike[:2] == (401, "invalid_api_key")


@pytest.mark.parametrize(("first", "second"), list(product(PLACES, PLACES)))
def test_400_two_keys_in_one_request(guarded: Served, first: str, second: str) -> None:
    """Which of them counted, and which was charged, was how limits were skipped elsewhere."""
    lines, values = [], []
    for place, key in ((first, ONE), (second, OTHER)):
        if PLACES[place]:
            lines.append(PLACES[place].format(key))
        else:
            values.append(f"key={key}")
    query = f"?{'&'.join(values)}" if values else ""
    for door in ("GET /v1/usage", "GET /admin/v1/projects", "POST /v1/chat/completions"):
        status, code, message = refused(guarded, door, *lines, query=query)
        assert (status, code) == (400, "two_credentials"), door
        assert ONE not in message
        assert OTHER not in message


@pytest.mark.parametrize("size", [16_384, 70_000, 1_000_000])
@pytest.mark.parametrize("line", ["Authorization: Bearer {}", "x-api-key: {}", "x-any: {}"])
def test_431_a_header_as_large_as_a_book(guarded: Served, line: str, size: int) -> None:
    status, code, _ = refused(guarded, "GET /v1/models", line.format("a" * size))
    assert (status, code) == (431, "headers_too_large")

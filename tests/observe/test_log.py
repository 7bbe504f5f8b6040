"""No line has a credential in it, whoever wrote the line and however deep it lay."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from portico.observe import log

SECRETS = {
    "ours": "pk_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
    "for admins": "pk_admin_0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
    "ephemeral": "pk_ephemeral_0123456789abcdefghijklmnopqrstuvwxyzAB",
    "OpenAI": "sk-proj-0123456789abcdefghijklmnopqrstuvwxyz",
    "Anthropic": "sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz",
    "Google": "AIzaSyA0123456789abcdefghijklmnopqrstuvw",
    "Stripe": "sk_live_0123456789abcdefghijklmnop",
    "Stripe, restricted": "rk_test_0123456789abcdefghijklmnop",
    "webhooks": "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3A=",
    "GitHub": "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "AWS": "AKIA0123456789ABCDEF",
    "a signed token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.0123456789abcdef",
}
PLACES = {
    "Bearer zq0123456789": "zq0123456789",
    "Basic dXNlcjpwYXNzd29yZA==": "dXNlcjpwYXNzd29yZA==",
    "https://x.example/?key=zq0123456789&alt=sse": "zq0123456789",
    "postgresql://portico:zq0123456789@host/db": "zq0123456789",
    '{"api_key": "zq0123456789"}': "zq0123456789",
    "x-api-key: zq0123456789": "zq0123456789",
    "password=zq0123456789": "zq0123456789",
}


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error, as it is written."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    log.configure("debug", request.param)
    yield written
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


@pytest.mark.parametrize("kind", SECRETS)
def test_what_looks_like_a_key_is_cut(kind: str) -> None:
    secret = SECRETS[kind]
    said = log.redact(f"it was {secret}, they said")
    assert secret[-16:] not in said
    assert said.startswith("it was ")
    assert said.endswith(", they said")


@pytest.mark.parametrize("said", PLACES)
def test_what_stands_where_keys_stand_is_cut(said: str) -> None:
    assert PLACES[said] not in log.redact(said)


@pytest.mark.parametrize(
    "plain",
    [
        "req_0123456789abcdef answered 200 in 12 ms",
        "key_7b7ec899 is revoked",
        "portico is ready at http://127.0.0.1:8080/v1",
        "the model sim-lorem-with-a-long-name-indeed is gone",
        "task-based work, risk-averse people and a basic idea",
        "the key is unknown; a token is missing",
    ],
)
def test_plain_words_stay(plain: str) -> None:
    assert log.redact(plain) == plain


def test_cutting_is_quick_whatever_comes() -> None:
    """One pass: nothing in the pattern repeats what repeats."""
    for unit in ("pk_live_", "sk-", "Bearer ", "a://b:", "?key=", "=" * 10, "eyJ.", "-eyJ"):
        log.redact(unit * 20_000)


def test_every_way_into_a_line_is_cut(lines: io.StringIO) -> None:
    secret = SECRETS["OpenAI"]
    ours = structlog.get_logger("portico.test")
    ours.warning("plain " + secret, value=secret, deep={"a": [{"b": secret}]}, raw=secret.encode())
    logging.getLogger("library").error("args %s and %r", secret, {"k": (secret,)})
    try:
        raise ValueError(f"the provider said {secret}") from KeyError(secret)
    except ValueError:
        ours.exception("it failed")
        logging.getLogger("library").exception("it failed, too")
    written = lines.getvalue()
    assert written.count("[redacted]") >= 9
    assert secret[-16:] not in written

"""What happened to others does not happen here: one test for each case, named after it.

The cases are those that SECURITY.md lists.  Where another file holds the full corpus, it is named.
"""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bench.edge.talk import Heard, answers
from portico.billing.alerts.model import Delivery
from portico.billing.alerts.webhook import Webhooks
from portico.cli.doctor.facts import strange_paths
from portico.kit.clock import SystemClock
from portico.kit.egress import Refused, place_of
from portico.settings import SettingsInvalid, load
from tests.security.socketry import authorization, said
from tests.whole.conftest import Served, end, start
from tests.whole.wire import get

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]


def sent(
    served: Served, method: str, path: str, *lines: str, body: Any = None, host: str = "test"
) -> Heard:
    data = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
    if data:
        head.append(f"Content-Length: {len(data)}")
    raw = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + data
    (heard,) = answers(said(served, raw), heads_only=method == "HEAD")
    return heard


class Engine(BaseHTTPRequestHandler):
    """An engine that remembers what it was sent."""

    seen: list[tuple[dict[str, str], dict[str, Any]]]

    def do_GET(self) -> None:
        self._say({"object": "list", "data": [{"id": "engine-model", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append(({k.lower(): v for k, v in self.headers.items()}, asked))
        choice = {"index": 0, "finish_reason": "stop"}
        message = {"message": {"role": "assistant", "content": "ok"}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "engine-model"}
        self._say(whole | {"choices": [choice | message], "usage": usage})

    def _say(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, list[tuple[dict[str, str], dict[str, Any]]]]]:
    """A server in front of an engine, and what that engine was sent."""
    seen: list[tuple[dict[str, str], dict[str, Any]]] = []
    handler = type("Handler", (Engine,), {"seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    running = start(
        tmp_path_factory.mktemp("behind") / "data",
        "--upstream",
        url,
        env={"PORTICO_ENGINE_ENABLED": "false", "PORTICO_UPSTREAM_API_KEY": "engine-key"},
    )
    seen.clear()
    yield running, seen
    end(running)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Waits on this machine for somebody who should not come."""
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        waiting.setblocking(False)
        yield waiting


def visited(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_litellm_cve_2024_6587_a_body_names_no_upstream(
    behind: tuple[Served, list[Any]], listener: socket.socket
) -> None:
    """`api_base` in a body sent the provider's key to any host."""
    served, _ = behind
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    names = ("api_base", "base_url", "api_url", "endpoint", "proxy", "custom_llm_provider")
    body = {"model": "engine-model", "messages": HI} | dict.fromkeys(names, url)
    body |= {"extra_body": {"api_base": url}, "metadata": {"api_base": url}}
    headers = tuple(f"{name}: {url}" for name in ("X-Api-Base", "X-Portkey-Custom-Host"))
    heard = sent(served, "POST", CHAT, authorization(served), *headers, body=body)
    assert heard.status == 200
    assert not visited(listener)


INJECTIONS = (
    "' OR '1'='1", "x'; DROP TABLE api_key; --", '" OR ""="', "pk_live_' UNION SELECT 1 --",
    "%s %d {0} {name} ${jndi:ldap://x}", "\\'; --", "1; ATTACH DATABASE 'x' AS y",
)  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_litellm_cve_2026_42208_a_header_is_never_part_of_a_query(
    guarded: Served, text: str
) -> None:
    """In the path of an error, of all places."""
    names = ("Authorization", "x-api-key", "x-goog-api-key", "anthropic-version", "User-Agent",
             "OpenAI-Organization", "OpenAI-Project", "Idempotency-Key", "X-Request-Id")  # fmt: skip
    for name in names:
        value = f"Bearer {text}" if name == "Authorization" else text
        for path, body in (("/v1/models", None), (CHAT, {"model": "sim-echo", "messages": HI})):
            heard = sent(guarded, "POST" if body else "GET", path, f"{name}: {value}", body=body)
            assert heard.status in (400, 401), name
    assert get(guarded, "/v1/models")[0] == 200, "nothing was dropped"


TRICKS = (
    "/v1/models", "//v1/models", "/v1//models", "/v1/./models", "/healthz/../v1/models",
    "/v1/models/", "/v1/models;x", "/v1/models%00", "/%76%31/models", "/v1/models?healthz",
    "/healthz/..%2fv1/models", "/V1/MODELS", "/v1/usage", "/v1/limits", "/admin/v1/organizations",
    "/admin/v1/keys", "//admin/v1/keys", "/healthz/..;/admin/v1/keys",
)  # fmt: skip
POINTERS = ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Host")


@pytest.mark.parametrize("path", TRICKS)
def test_starlette_cve_2026_48710_no_way_of_writing_skips_the_key(
    guarded: Served, path: str
) -> None:
    """Rights belong to the route that was found, not to how its path or host was written."""
    for host in ("test", "127.0.0.1", "localhost:80", "healthz"):
        heard = sent(guarded, "GET", path, host=host)
        assert 400 <= heard.status < 500
    for pointer in POINTERS:
        heard = sent(guarded, "GET", path, f"{pointer}: /healthz")
        assert 400 <= heard.status < 500
        heard = sent(guarded, "GET", "/healthz", f"{pointer}: {path}")
        assert b'"list"' not in heard.body


def test_litellm_1_82_7_a_strange_pth_is_found(tmp_path: Path) -> None:
    """Its name was litellm_init.pth.  tests/house/test_unsafe_code.py: it is neither locked nor
    imported; everything else is locked by hash, and not from today."""
    (tmp_path / "litellm_init.pth").write_text(
        "import base64; exec(base64.b64decode('cGFzcw=='))\n"
    )
    assert strange_paths(tmp_path) == ("litellm_init.pth",)


def test_new_api_cve_2026_41432_an_empty_secret_opens_no_route(guarded: Served) -> None:
    """tests/billing/payments: what an event must agree in with the order it pays."""
    event = {"id": "evt_1", "type": "checkout.session.completed"}
    signed = "Stripe-Signature: t=1,v1=" + "0" * 64
    heard = sent(guarded, "POST", "/v1/webhooks/stripe", signed, body=event)
    assert heard.status == 404
    with pytest.raises(SettingsInvalid, match="webhook_secret"):
        load(environment={"PORTICO_STRIPE_WEBHOOK_SECRET": "short"})


@pytest.mark.parametrize("text", ["%25", "_", "%25%25%25%25", "sim-%25", "sim_echo", "*", "sim-*"])
def test_new_api_cve_2026_25591_wildcards_find_nothing(guarded: Served, text: str) -> None:
    assert sent(guarded, "GET", f"/v1/models/{text}", authorization(guarded)).status == 404


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0.0.0.0"])
async def test_new_api_4746_a_webhook_does_not_reach_this_machine(
    host: str, listener: socket.socket
) -> None:
    """tests/security/test_ssrf.py has the corpus."""
    webhooks = Webhooks(b"s" * 32, SystemClock(), timeout_s=2.0)
    for scheme in ("http", "https"):
        target = f"{scheme}://{host}:{listener.getsockname()[1]}/"
        assert not (await webhooks.send(Delivery("d", "webhook", target, 1, "", "{}"))).delivered
    assert not visited(listener)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1\\@x.example/",
        "http://x.example\\@127.0.0.1/",
        "http://x.example#@127.0.0.1/",
    ],
)
def test_open_webui_cve_2026_45400_a_url_is_read_once(url: str) -> None:
    """Two readers took two hosts from it.  tests/security/test_ssrf.py has the corpus, and the
    redirects of CVE-2026-45401."""
    try:
        assert place_of(url).host == "x.example"
    except Refused:
        assert "\\" in url


def test_open_webui_cve_2026_45339_a_second_header_skips_no_limit(guarded: Served) -> None:
    other = "pk_live_" + "0" * 43
    both = (authorization(guarded), f"x-api-key: {other}")
    heard = sent(guarded, "GET", "/v1/models", *both)
    assert (heard.status, json.loads(heard.body)["error"]["code"]) == (400, "two_credentials")


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 100,
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\xff" * 100,
        b"\xff\x4f\xff\x51" + b"\xff" * 100,
        b"II*\x00" + b"\xff" * 100,
        b"\xff\xd8\xff" + b"\x00" * 100,
    ],
    ids=["PNG", "JPEG 2000", "a codestream of it", "TIFF", "JPEG"],
)
def test_vllm_cve_2026_22778_a_decoder_tells_nothing_of_itself(
    guarded: Served, data: bytes
) -> None:
    """The text of an error had an address of the heap in it."""
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}]
    body = {"model": "sim-echo", "messages": [{"role": "user", "content": content}]}
    heard = sent(guarded, "POST", CHAT, authorization(guarded), body=body)
    assert heard.status < 500
    for leak in (b" at 0x", b"Traceback", b"BytesIO", b"PIL", b"object at"):
        assert leak not in heard.body


@pytest.mark.parametrize(
    "salt", ["mine", "", "a" * 100_000, "\u0000", "../../x", 7, None, ["a"], {"a": "b"}, True]
)
def test_vllm_cve_2026_105756_no_salt_of_a_callers_reaches_an_engine(
    behind: tuple[Served, list[Any]], salt: Any
) -> None:
    served, seen = behind
    body = {"model": "engine-model", "messages": HI, "cache_salt": salt}
    heard = sent(served, "POST", CHAT, authorization(served), body=body)
    assert heard.status < 500
    assert seen
    assert all(asked.get("cache_salt", "ours") != salt for _, asked in seen)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


def test_ray_cve_2026_27482_no_method_is_forgotten(guarded: Served) -> None:
    """DELETE was missing from a list of what is barred.  Here a list says what is not."""
    _, _, document = get(guarded, "/openapi.json")
    told = json.loads(document)["paths"]
    barred = {
        path: [way for way, how in ways.items() if how.get("security") != []]
        for path, ways in told.items()
    }
    tried = 0
    for (path, ways), method in product(told.items(), METHODS):
        if method.lower() in ways and method.lower() not in barred[path]:
            continue
        if method == "HEAD" and "get" in ways and "get" not in barred[path]:
            continue
        heard = sent(guarded, method, path.replace("{id}", "x"))
        assert 400 <= heard.status < 500, (method, path)
        tried += 1
    assert tried > 200


def test_only_our_own_headers_go_to_an_engine(behind: tuple[Served, list[Any]]) -> None:
    """What a client names, an engine never sees: no name and no value is copied."""
    served, seen = behind
    seen.clear()
    mine = (
        "Cookie: a=canary", "X-Forwarded-For: 10.0.0.1", "X-Custom: canary", "Via: canary",
        "OpenAI-Organization: canary", "x-api-base: canary", "Proxy-Authorization: Basic canary",
        "User-Agent: canary", "X-Request-Id: canary", "traceparent: canary", "Range: bytes=0-1",
    )  # fmt: skip
    body = {"model": "engine-model", "messages": HI}
    assert sent(served, "POST", CHAT, authorization(served), *mine, body=body).status == 200
    ((headers, _),) = seen
    assert "canary" not in repr(headers)
    assert headers["authorization"] == "Bearer engine-key"
    known = {"host", "authorization", "content-type", "content-length", "accept", "user-agent",
             "accept-encoding", "connection"}  # fmt: skip
    assert set(headers) <= known


@pytest.mark.parametrize("end_of_line", ["\r\n", "\n", "\r", "\0"], ids=repr)
def test_what_a_caller_says_ends_no_header_of_ours(guarded: Served, end_of_line: str) -> None:
    """Refusals quote what was sent, and some of that stands in headers."""
    text = f"x{end_of_line}x-injected: yes"
    body = {"model": text, "messages": HI, "unknown_field": 1, text: 1}
    for path in (CHAT, "/v1/responses", "/v1/messages"):
        heard = sent(guarded, "POST", path, authorization(guarded), body=body)
        assert "x-injected" not in heard.headers
    quoted = text.replace("\r", "%0d").replace("\n", "%0a").replace("\0", "%00").replace(" ", "%20")
    heard = sent(guarded, "GET", f"/v1/models/{quoted}", authorization(guarded))
    assert "x-injected" not in heard.headers

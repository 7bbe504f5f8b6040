"""Secrets go in everywhere a client or an upstream can put them, and come out nowhere."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.edge import place as edge
from bench.edge.place import Place, serving
from bench.edge.talk import Heard, answers, ask
from tests.db.databases import PostgresServer, postgres_server
from tests.security.canaries import content_of
from tests.warm.commands import warm

UPSTREAM_KEY = "sk-upstream-Zq7cAnArYuPsTrEaMkEy0123456789"
OPAQUE = "Zq9OpAqUeCaNaRy0123456789abcdef"
CANARIES = {
    "ours, well-formed or not": "pk_live_Zq1cAnArY0123456789abcdefghijklmnopqrstuvwxy",
    "a provider's": "sk-ant-api03-Zq2cAnArY0123456789abcdefghijkl",
    "Google's": "AIzaSyZq3cAnArY0123456789abcdefghijklmn",
    "of a webhook": "whsec_WnE0Y0FuQXJZMDEyMzQ1Njc4OWFiY2RlZmc=",
    "Stripe's": "sk_live_Zq5cAnArY0123456789abcdef",
    "of no shape": OPAQUE,
}


class Talkative(BaseHTTPRequestHandler):
    """An engine that fails, and tells everything it knows while it does."""

    def do_GET(self) -> None:
        self._say(200, {"object": "list", "data": [{"id": "talkative", "object": "model"}]})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        asked = self.rfile.read(length).decode()
        failing = "canary" in asked.lower()
        told = f"{self.headers.get('authorization')} {asked} {OPAQUE}"
        if not failing:
            choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "talkative"}
            self._say(
                200, whole | {"choices": [choice | {"finish_reason": "stop"}], "usage": usage}
            )
        elif "garbage" in asked:
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + told.encode())
            self.close_connection = True
        else:
            status = 401 if "unauthorised" in asked else 500
            self._say(status, {"error": {"message": told, "code": told, "type": told}})

    def _say(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def talkative() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Talkative)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def requests(place: Place, canary: str) -> Iterator[bytes]:
    """What goes wrong in every way, with the canary in every place."""
    good = place.authorization
    everywhere = (f"x-api-key: {canary}", f"Authorization: Bearer {canary}", f"Cookie: a={canary}")
    for lines in (
        *((line,) for line in everywhere),
        (f"x-goog-api-key: {canary}",),
        (good, f"x-api-key: {canary}"),
        (good, f"X-Custom: {canary}", f"OpenAI-Organization: {canary}", f"User-Agent: {canary}"),
        (f"Authorization: Basic {canary}",),
    ):
        yield request("GET", "/v1/models", *lines)
        yield request("POST", "/v1/chat/completions", *lines, body={"model": canary})
    for path in (f"/v1/models?key={canary}", f"/v1/{canary}", f"/v1/models/{canary}?key={canary}"):
        yield request("GET", path)
        yield request("GET", path, good)
    bad = b"GET /v1/models HTTP/1.1\r\nHost: " + canary.encode() + b"/\r\nX: \0\r\n\r\n"
    yield bad
    for model in ("talkative", "sim-echo", "sim-malformed", canary):
        for text in ("canary", "garbage canary", "unauthorised canary", "[[sim fault=hang_up]]"):
            said = [{"role": "user", "content": f"{text} {canary}"}]
            asked = {"model": model, "messages": said, "user": canary, "metadata": {"k": canary}}
            for stream in (False, True):
                yield request("POST", "/v1/chat/completions", good, body=asked | {"stream": stream})
            yield request("POST", f"/v1/messages?key={canary}", body=asked | {"max_tokens": 5})
            responses = {"model": model, "store": False}  # else it is what was asked to be kept
            yield request("POST", "/v1/responses", good, body=responses | {"input": text + canary})
    yield request("POST", "/v1/chat/completions", good, raw=b'{"model": "' + canary.encode())


def request(
    method: str, path: str, *lines: str, body: Any = None, raw: bytes | None = None
) -> bytes:
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close", *lines]
    if data:
        head.append(f"Content-Length: {len(data)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def heard(place: Place, sent: bytes) -> list[Heard]:
    said = ask(place.host, place.port, sent)
    return answers(said) if said else []


def everything_under(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), content_of(path)


@contextmanager
def database(kind: str) -> Iterator[tuple[PostgresServer | None, str]]:
    """PostgreSQL logs every statement, with all that it is given."""
    if kind == "sqlite":
        yield None, ""
        return
    with postgres_server() as server:
        server.say_all()
        url = server.new_url()
        server.store_plainly(url)
        yield server, url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def left(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, bytes]]:
    """Every byte that a server left anywhere, by file, once all of it was sent."""
    with pytest.MonkeyPatch.context() as kept, database(request.param) as (server, address):
        temporary = tmp_path_factory.mktemp("tmp")
        kept.setenv("TMPDIR", str(temporary))
        kept.setenv("PORTICO_UPSTREAM_API_KEY", UPSTREAM_KEY)
        kept.setenv("PORTICO_DATABASE_URL", address)
        kept.setenv("WARM_PORTICO", warm().address)
        kept.setattr(edge, "COMMAND", (str(warm().word),))
        yield _left(temporary, server)


def _left(temporary: Path, server: PostgresServer | None) -> dict[str, bytes]:
    statuses: set[int] = set()
    said_to_clients = b""
    with (
        talkative() as url,
        serving("--upstream", url, observe_log_level="debug", observe_access_log="true") as place,
    ):
        for canary in CANARIES.values():
            for sent in requests(place, canary):
                for each in heard(place, sent):
                    statuses.add(each.status)
                    said_to_clients += repr(each.headers).encode() + each.body
        found = dict(everything_under(place.folder)) | dict(everything_under(temporary))
        if server is not None:
            server.do("CHECKPOINT")
            found |= dict(everything_under(server.folder))
        found["what clients were told"] = said_to_clients
        found["statuses"] = repr(sorted(statuses)).encode()
        found["the server's own key"] = place.key.encode()
    return found


def test_things_went_wrong_in_many_ways_and_lines_were_written(left: dict[str, bytes]) -> None:
    assert {400, 401, 404, 502} <= set(json.loads(left["statuses"]))
    (log,) = (data for name, data in left.items() if name.endswith("stderr.log"))
    assert log.count(b"\n") > 100
    if any(name.endswith("portico.db") for name in left):
        return
    (said,) = (data for name, data in left.items() if name.endswith("data/log"))
    assert said.count(b"INSERT INTO usage_record") > 100
    assert any(b"sim-echo" in data for name, data in left.items() if "/base/" in name)
    assert any(b"sim-echo" in data for name, data in left.items() if "/pg_wal/" in name)


@pytest.mark.parametrize("kind", CANARIES)
def test_no_file_has_it(left: dict[str, bytes], kind: str) -> None:
    canary = CANARIES[kind].encode()
    hits = [name for name, data in left.items() if "clients" not in name and canary[8:28] in data]
    assert hits == []


def test_the_upstreams_key_is_nowhere_not_even_in_an_answer(left: dict[str, bytes]) -> None:
    assert [name for name, data in left.items() if UPSTREAM_KEY[5:25].encode() in data] == []


def test_the_servers_own_key_is_in_no_file(left: dict[str, bytes]) -> None:
    key = left["the server's own key"][10:40]
    own = "the server's own key"
    assert [name for name, data in left.items() if name != own and key in data] == []

"""The corpus of smuggled requests through nginx: do both of them see the same requests?

    uv run python -m bench.edge.front_proxy [--json]

nginx (Debian's) stands in front of one `portico serve` and keeps connections to it open, in each of
four ways: bodies collected first or passed on as they come, HTTP/1.1 or 1.0 behind.  Each case comes
on a connection of its own with a second request hidden behind it; then somebody else asks for a model
of a name that nobody else asks for.

What must hold: that somebody gets the answer to their own question every time, and Portico has
answered exactly as many requests as nginx has sent on, all of which nginx had read as requests.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

from bench.edge.place import Place, serving
from bench.edge.smuggling import CORPUS, case, hidden
from bench.edge.talk import Cut, Heard, answers, ask

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
_CONFIG = """\
worker_processes 1; daemon off; pid nginx.pid; error_log nginx.err;
events { worker_connections 512; }
http {
  log_format sent '$upstream_status';
  access_log sent.log sent;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  large_client_header_buffers 4 128k;
  ignore_invalid_headers off; underscores_in_headers on;
  upstream portico { server HOST:PORT; keepalive 1; }
  server {
    listen 127.0.0.1:FRONT;
    location / {
      proxy_pass http://portico; proxy_http_version VERSION; proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering BUFFERING; proxy_buffering off; proxy_next_upstream off;
    }
  }
}
"""
_QUIET_S = 0.3
_PATIENT_S = 10.0


@dataclass(frozen=True, slots=True)
class Way:
    buffering: str
    version: str

    def __str__(self) -> str:
        return f"request buffering {self.buffering}, HTTP/{self.version} behind"


@dataclass(slots=True)
class Found:
    """sent_on: requests, by nginx's log; answered: by Portico's counters.
    stray: cases after which somebody got an answer that was not theirs."""

    cases: int = 0
    sent_on: int = 0
    answered: int = 0
    refused_by_nginx: int = 0
    stray: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.stray and self.sent_on == self.answered


@contextmanager
def proxy(place: Place, way: Way) -> Iterator[tuple[int, Path]]:
    """nginx in front of `place`.  Gives its port and its log."""
    assert NGINX is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="portico-nginx-") as name:
        folder = Path(name)
        text = _CONFIG.replace("HOST", place.host, 1).replace("PORT", str(place.port))
        text = text.replace("FRONT", str(port)).replace("VERSION", way.version)
        text = text.replace("BUFFERING", way.buffering)
        (folder / "nginx.conf").write_text(text)
        process = subprocess.Popen(
            (NGINX, "-p", str(folder), "-e", "nginx.err", "-c", str(folder / "nginx.conf"))
        )
        try:
            _await(port)
            yield port, folder / "sent.log"
        finally:
            process.terminate()
            process.wait(_PATIENT_S)


def _await(port: int) -> None:
    until = time.monotonic() + _PATIENT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise


def told(port: int, sent: bytes) -> bytes:
    """Everything nginx says to `sent` until it is quiet."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_QUIET_S) as wire:
        try:
            wire.sendall(sent)
            while data := wire.recv(65_536):
                heard += data
        except OSError:
            return heard
    return heard


def somebody(port: int, place: Place, name: str) -> Heard | None:
    """Asks for a model that only they know of; None where what comes is no answer at all."""
    sent = f"GET /v1/models/{name} HTTP/1.1\r\nHost: door.test\r\n{place.authorization}\r\n"
    try:
        heard = answers(ask("127.0.0.1", port, f"{sent}Connection: close\r\n\r\n".encode()))
    except Cut:
        return None
    return heard[0] if len(heard) == 1 else None


def through(place: Place, way: Way, found: Found) -> None:
    before = place.counted("portico_requests_total")
    with proxy(place, way) as (port, log):
        for number, name in enumerate(CORPUS):
            sent = case(name, "/v1/chat/completions", place.authorization)
            told(port, sent + hidden("/v1/models", place.authorization))
            found.cases += 1
            own = f"nobody-{number}"
            heard = somebody(port, place, own)
            if heard is None or heard.status != 404 or own not in heard.body.decode():
                found.stray.append(f"{way}: {name}")
        time.sleep(_QUIET_S)
        lines = log.read_text().split("\n")[:-1]
    # Each question about the counters is a request, too: the first one counts here.
    found.answered += int(place.counted("portico_requests_total") - before) - 1
    found.sent_on += sum(each not in ("-", "", "502", "504") for each in lines)
    found.refused_by_nginx += lines.count("-")


def main() -> int:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true")
    given = made.parse_args()
    if NGINX is None:
        sys.exit("nginx is not installed: apt-get install nginx")
    found = Found()
    with serving() as place:
        for buffering, version in product(("on", "off"), ("1.1", "1.0")):
            through(place, Way(buffering, version), found)
    shown = asdict(found) | {"holds": found.holds}
    print(json.dumps(shown) if given.json else "\n".join(f"{k:16s}  {v}" for k, v in shown.items()))
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())

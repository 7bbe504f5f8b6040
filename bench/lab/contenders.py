"""Who is measured, and how each is started.  Each gets what its own guide asks for to be fast."""

import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.model import MODELS, BenchError, Contender
from lab.tools import BUILD, program

KEY = "sk-bench"
NAMES = ("nginx", "portico", "portico-paid", "litellm", "portkey")
LITELLM = BUILD / "litellm-venv" / "bin" / "litellm"
PORTKEY = BUILD / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
HOW_TO_INSTALL = {
    "litellm": "sh bench/peers/install_litellm.sh",
    "portkey": "sh bench/peers/install_portkey.sh",
}

NGINX = """\
worker_processes 1; daemon off; pid nginx.pid; error_log nginx.err;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 64m; client_body_buffer_size 4m;
  keepalive_requests 1000000000;
  upstream model { server 127.0.0.1:UPSTREAM; keepalive 2048; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:PORT backlog=4096;
    location / {
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a run takes place: a scratch folder, and the port of the mock model server."""

    folder: Path
    upstream_port: int

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}/v1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def missing(name: str) -> str:
    """How to install the peer, or empty when it is here."""
    here = {"litellm": LITELLM.exists(), "portkey": PORTKEY.exists()}
    return "" if here.get(name, True) else HOW_TO_INSTALL[name]


def direct(ground: Ground) -> Contender:
    """No server in between: what the tools themselves cost in time."""
    return Contender("direct", url=ground.upstream_url)


def nginx(ground: Ground) -> Contender:
    port = free_port()
    config = ground.folder / "nginx.conf"
    text = NGINX.replace("UPSTREAM", str(ground.upstream_port)).replace("PORT", str(port))
    config.write_text(text)
    command = (program("nginx", "nginx"), "-p", str(ground.folder), "-e", "nginx.err")
    return Contender(
        "nginx", command=(*command, "-c", str(config)), url=f"http://127.0.0.1:{port}/v1"
    )


def portico(ground: Ground) -> Contender:
    """As it comes, every setting at its default: keys, admission, metering, the engine child.

    It says its address and key when it is ready.
    """
    script = Path(sys.executable).parent / "portico"
    data = ground.folder / "portico-data"
    command = (str(script), "serve", "--host", "127.0.0.1", "--port", "0", "--json")
    return Contender(
        "portico",
        command=(*command, "--data-dir", str(data), "--upstream", ground.upstream_url),
        folder=ground.folder,  # a portico.toml where the bench is started must not count
        judged=True,
        not_counted="portico.engines.embedded",
    )


def portico_paid(ground: Ground) -> Contender:
    """The same for an organisation that pays: every request sets money aside on disk before it is
    sent on, within a budget, and is charged when it ends."""
    data = ground.folder / "portico-paid-data"
    script = Path(__file__).with_name("paying.py")
    return replace(
        portico(ground),
        name="portico-paid",
        command=tuple(
            str(data) if word.endswith("portico-data") else word for word in portico(ground).command
        ),
        then=(sys.executable, str(script), str(data)),
        judged=False,
    )


def litellm(ground: Ground) -> Contender:
    """One worker, no database, a master key, models listed one by one (a wildcard costs twice)."""
    port = free_port()
    config = ground.folder / "litellm.json"  # YAML reads JSON
    upstream = {"api_base": ground.upstream_url, "api_key": "sk-upstream"}
    models = [
        {"model_name": model, "litellm_params": {"model": f"openai/{model}", **upstream}}
        for model in MODELS
    ]
    general = {"master_key": KEY, "disable_spend_logs": True}
    quiet = {"telemetry": False, "num_retries": 0}
    config.write_text(
        json.dumps({"model_list": models, "general_settings": general, "litellm_settings": quiet})
    )
    command = (str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
    return Contender(
        "litellm",
        command=(*command, "--num_workers", "1"),
        url=f"http://127.0.0.1:{port}/v1",
        env={"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        load_share=0.04,
        idle_share=0.1,
        start_s=90.0,
    )


def portkey(ground: Ground) -> Contender:
    """One Node process.  It takes its upstream from the request's headers."""
    port = free_port()
    script = str(PORTKEY / "build" / "start-server.js")
    return Contender(
        "portkey",
        command=(program("node", "nodejs"), script, f"--port={port}", "--headless"),
        url=f"http://127.0.0.1:{port}/v1",
        headers=("x-portkey-provider: openai", f"x-portkey-custom-host: {ground.upstream_url}"),
        env={"NODE_ENV": "production"},
        load_share=0.1,
    )


MAKERS = {
    "nginx": nginx,
    "portico": portico,
    "portico-paid": portico_paid,
    "litellm": litellm,
    "portkey": portkey,
}


def custom(
    texts: Sequence[str], starts: Sequence[str], ground: Ground, key: str, headers: Sequence[str]
) -> list[Contender]:
    """`NAME=URL` each, with the command of the same place in `starts`, if there is one.

    `{upstream}` in a command becomes the mock's URL; a URL without a path gets /v1.
    Raises: BenchError: a text is not NAME=URL, or there are more commands than candidates.
    """
    if len(starts) > len(texts):
        raise BenchError("--start needs a --candidate NAME=URL before it")
    found = []
    for i, text in enumerate(texts):
        name, _, url = text.partition("=")
        if not url.startswith("http://"):
            raise BenchError(f"--candidate {text}: expected NAME=http://HOST:PORT/v1 (plain HTTP)")
        start = starts[i].replace("{upstream}", ground.upstream_url) if i < len(starts) else ""
        found.append(
            Contender(
                name,
                command=("/bin/sh", "-c", f"exec {start}") if start else (),
                url=url,
                key=key,
                headers=tuple(headers),
                judged=True,
                start_s=60.0,
            )
        )
    return found

"""One upstream server: where it is, how it is entered, what kind of server it is.  No I/O."""

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from portico.engines.transport.base import Deadlines, Headers, Origin

Kind = Literal["llamacpp", "vllm", "sglang", "generic"]


class Adapter(NamedTuple):
    """A LoRA adapter of llama.cpp, as a request names it."""

    id: int
    scale: float


_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"host", "content-length", "connection", "transfer-encoding", "content-type"})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Server:
    """base_path: what stands before "/v1", mostly "".
    headers: complete, sent with every request; the caller's own are never forwarded."""

    origin: Origin
    base_path: str
    headers: Headers
    deadlines: Deadlines = field(default_factory=Deadlines)
    chat_target: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chat_target", f"{self.base_path}/v1/chat/completions")

    @property
    def embeddings_target(self) -> str:
        return f"{self.base_path}/v1/embeddings"

    @property
    def completions_target(self) -> str:
        return f"{self.base_path}/v1/completions"

    def shown(self) -> str:
        """For people, without any credential."""
        return f"{self.origin.scheme}://{self.origin.host}:{self.origin.port}{self.base_path}"


def server_at(
    base_url: str,
    api_key: str = "",
    extra_headers: dict[str, str] | None = None,
    deadlines: Deadlines | None = None,
) -> Server:
    """Read `http[s]://host[:port][/path][/v1]`.

    Raises: ValueError, in words for the operator, that never quote a credential.
    """
    parts = urlsplit(base_url.strip())
    if parts.scheme not in _PORTS:
        raise ValueError("an upstream URL starts with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an upstream URL holds no credentials; give the key as the API key")
    if not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an upstream URL looks like http://host:8000/v1, without ? or #")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError("the port of an upstream URL is a number up to 65535") from None
    path = parts.path.rstrip("/")
    return Server(
        origin=Origin(parts.scheme, parts.hostname, port),
        base_path=path.removesuffix("/v1").rstrip("/"),
        headers=_headers(api_key, extra_headers or {}),
        deadlines=deadlines or Deadlines(),
    )


def _headers(api_key: str, extra: dict[str, str]) -> Headers:
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"portico"),
    ]
    if api_key:
        headers.append((b"Authorization", b"Bearer " + _value("the API key", api_key)))
    for name, value in extra.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} cannot be an extra header")
        headers.append((name.encode(), _value(f"the header {name}", value)))
    return headers


def _value(what: str, value: str) -> bytes:
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{what} must be printable ASCII on one line")
    return value.encode()

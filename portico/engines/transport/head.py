"""The request head as bytes, and what may not be in it.  Pure."""

import re
from functools import lru_cache

from portico.engines.transport.base import Call, Origin

# The transport frames the request; a second opinion in the same head is how requests are smuggled.
OURS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"trailer"}
)
# RFC 9110, section 5.6.2.
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, section 9.3: without Content-Length a server may wait for, or refuse, these.
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
DEFAULT_PORTS = {"http": 80, "https": 443}


def host_field(origin: Origin) -> bytes:
    """The Host value: brackets around IPv6, no default port.  Raises: ValueError."""
    host = origin.host
    if origin.scheme not in DEFAULT_PORTS:
        raise ValueError(f"scheme {origin.scheme!r} is neither http nor https")
    if not host or not host.isascii() or not host.isprintable() or any(c in " /?#@" for c in host):
        raise ValueError(f"{host!r} is not a host name")
    if ":" in host:
        host = f"[{host}]"
    if origin.port != DEFAULT_PORTS[origin.scheme]:
        host = f"{host}:{origin.port}"
    return host.encode("ascii")


def request_head(call: Call, host: bytes) -> bytes:
    """Request line and headers, up to and with the blank line.

    Raises: ValueError: CR, LF or NUL anywhere, a space in the target, a header name that is no
    token, or a header of `OURS`.
    """
    parts = [_request_line(call.method, call.target), host]
    for name, value in call.headers:
        parts += (_field_name(name), value)
    if call.body or call.method in METHODS_WITH_BODY:
        parts.append(b"\r\nContent-Length: %d" % len(call.body))
        lines = len(call.headers) + 5
    else:
        lines = len(call.headers) + 4
    if call.reuse:
        lines -= 1
        parts.append(b"\r\n\r\n")
    else:
        parts.append(b"\r\nConnection: close\r\n\r\n")
    head = b"".join(parts)
    # Every line end in the head must be one of ours.
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError("CR, LF or NUL in a header")
    return head


# Deployments send the same few names and targets over and over; checking them once is enough.
@lru_cache(maxsize=1024)
def _field_name(name: bytes) -> bytes:
    """The start of a header line, from the line end before it to the colon."""
    if name.lower() in OURS:
        raise ValueError(f"the transport itself writes the header {name.decode('latin-1')!r}")
    if not TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    return b"\r\n%b: " % name


@lru_cache(maxsize=1024)
def _request_line(method: str, target: str) -> bytes:
    """The start of the head, up to the value of Host."""
    if not method.isalpha() or not method.isascii():
        raise ValueError(f"{method!r} is not a method")
    if not target or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("the target holds a space, a control or a non-ASCII character")
    return f"{method} {target} HTTP/1.1\r\nHost: ".encode("ascii")

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
    lines = _lines(call.method, call.target, host, tuple(call.headers))
    end = b"\r\n\r\n" if call.reuse else b"\r\nConnection: close\r\n\r\n"
    if call.body or call.method in METHODS_WITH_BODY:
        return b"%b\r\nContent-Length: %d%b" % (lines, len(call.body), end)
    return lines + end


# Deployments send the same few heads over and over; making and checking them once is enough.
@lru_cache(maxsize=1024)
def _lines(
    method: str, target: str, host: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> bytes:
    """What a call says itself: the head without its framing, and without its last line end."""
    parts = [_request_line(method, target), host]
    for name, value in headers:
        parts += (_field_name(name), value)
    lines = b"".join(parts)
    # Every line end must be one of ours.
    ends = len(headers) + 1
    if lines.count(b"\n") != ends or lines.count(b"\r") != ends or b"\0" in lines:
        raise ValueError("CR, LF or NUL in a header")
    return lines


def _field_name(name: bytes) -> bytes:
    """The start of a header line, from the line end before it to the colon."""
    if name.lower() in OURS:
        raise ValueError(f"the transport itself writes the header {name.decode('latin-1')!r}")
    if not TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    return b"\r\n%b: " % name


def _request_line(method: str, target: str) -> bytes:
    """The start of the head, up to the value of Host."""
    if not method.isalpha() or not method.isascii():
        raise ValueError(f"{method!r} is not a method")
    if not target or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("the target holds a space, a control or a non-ASCII character")
    return f"{method} {target} HTTP/1.1\r\nHost: ".encode("ascii")

"""The request head as bytes, and what may not be in it.  Pure."""

from portico.engines.transport.base import Call, Origin

# The transport frames the request; a second opinion in the same head is how requests are smuggled.
OURS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"trailer"}
)
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

    Raises: ValueError: CR, LF or NUL anywhere, a space in the target or in a header name, or a
    header of `OURS`.
    """
    refuse_injection(call)
    parts = [f"{call.method} {call.target} HTTP/1.1\r\nHost: ".encode("ascii"), host]
    for name, value in call.headers:
        parts += (b"\r\n", name, b": ", value)
    if call.body or call.method in METHODS_WITH_BODY:
        parts.append(b"\r\nContent-Length: %d" % len(call.body))
    parts.append(b"\r\n\r\n" if call.reuse else b"\r\nConnection: close\r\n\r\n")
    return b"".join(parts)


def refuse_injection(call: Call) -> None:
    """Raises: ValueError, see `request_head`."""
    target = call.target
    if not target.isascii() or not target.isprintable() or " " in target or not target:
        raise ValueError("the target holds a space, a control or a non-ASCII character")
    if not call.method.isalpha() or not call.method.isascii():
        raise ValueError(f"{call.method!r} is not a method")
    for name, value in call.headers:
        if name.lower() in OURS:
            raise ValueError(f"the transport itself writes {name.decode('latin-1')!r}")
        if not name or b" " in name or b":" in name or b"\t" in name:
            raise ValueError(f"{name!r} is not a header name")
        line = name + value
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise ValueError(f"CR, LF or NUL in header {name!r}")

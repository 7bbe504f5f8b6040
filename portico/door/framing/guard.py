"""Which requests are served at all.  Pure: a head goes in, a refusal or a target comes out.

httptools refuses most malformed requests itself (tests/door/test_smuggling.py holds the corpus);
what it lets through is refused here.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

import httptools
import msgspec

from portico import errors
from portico.door.limits import EdgeLimits

_SHOWN_BYTES_MAX = 200
_NAME = re.compile(rb"([A-Za-z0-9_-][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
"""Name or address, and perhaps a port; no other letters, so that nothing in front of us can read
two hosts from one line."""
_PORT_MAX = 65_535


class Head(msgspec.Struct):
    """Request line and headers, as parsed.  (A msgspec struct: made once per request.)

    fields: lower-case names; a repeated field is joined with ", ".
    repeated: the names that came more than once.
    read_bytes: upper bound of its size.
    """

    method: bytes
    url: bytes
    version: str
    fields: dict[bytes, bytes]
    repeated: set[bytes]
    fields_count: int
    read_bytes: int


def refusal_for(
    head: Head, limits: EdgeLimits, hosts_allowed: frozenset[bytes]
) -> errors.Refusal | None:
    """Why this request is not served, None when it may be."""
    if head.fields_count > limits.headers_max:
        return too_large(0, head.fields_count, limits)
    if head.read_bytes > limits.header_bytes_max:
        size_bytes = _size_bytes(head)
        if size_bytes > limits.header_bytes_max:
            return too_large(size_bytes, 0, limits)
    if head.version not in ("1.1", "1.0"):
        return errors.BAD_REQUEST(f"HTTP/{head.version} is not spoken here; HTTP/1.1 is.")
    if head.repeated or b"transfer-encoding" in head.fields:
        refusal = _framing(head)
        if refusal is not None:
            return refusal
    if b"expect" in head.fields:
        refusal = _expectation(head)
        if refusal is not None:
            return refusal
    return _host(head, hosts_allowed)


def may_change(method: str, fields: dict[bytes, bytes]) -> bool:
    """Can the connection go on as a WebSocket behind this request, if whoever serves it likes?  One
    with a body cannot: where that ends, and frames begin, would be open to two readings."""
    return (
        method == "GET"
        and fields.get(b"upgrade", b"").lower() == b"websocket"
        and fields.get(b"content-length", b"0") == b"0"
        and b"transfer-encoding" not in fields
    )


def _size_bytes(head: Head) -> int:
    lines = (len(name) + len(value) + 4 for name, value in head.fields.items())
    return len(head.method) + len(head.url) + 12 + sum(lines)


def too_large(bytes_count: int, fields_count: int, limits: EdgeLimits) -> errors.Refusal:
    if bytes_count > limits.header_bytes_max:
        return errors.HEADERS_TOO_LARGE(
            f"The request line and headers are {bytes_count} bytes or more; "
            f"the limit is {limits.header_bytes_max}.",
            value=bytes_count,
            limit=limits.header_bytes_max,
        )
    return errors.HEADERS_TOO_LARGE(
        f"The request has {fields_count} headers; the limit is {limits.headers_max}.",
        value=fields_count,
        limit=limits.headers_max,
    )


def malformed(reason: str) -> errors.Refusal:
    return errors.BAD_REQUEST(f"This is not well-formed HTTP/1.1: {reason}.")


def _framing(head: Head) -> errors.Refusal | None:
    """Where a body ends must not be open to two readings: that is how requests are smuggled."""
    fields = head.fields
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if b"content-length" in fields:
            return malformed("Content-Length together with Transfer-Encoding")
        if coding.lower() != b"chunked" or head.version == "1.0":
            return malformed("a Transfer-Encoding other than a single 'chunked' in HTTP/1.1")
    if b"content-length" in head.repeated:
        return malformed("more than one Content-Length")
    return None


def _expectation(head: Head) -> errors.Refusal | None:
    """What is expected and not known cannot be met; HTTP/1.0 has no expectations."""
    if head.version == "1.0":
        return None
    for each in head.fields[b"expect"].split(b","):
        if each.strip().lower() != b"100-continue":
            return errors.EXPECTATION_FAILED(
                f"The Expect header is {_shown(each.strip())!r}; only '100-continue' is known.",
                field="Expect",
                value=_shown(each.strip()),
                limit="100-continue",
            )
    return None


def _host(head: Head, hosts_allowed: frozenset[bytes]) -> errors.Refusal | None:
    host = head.fields.get(b"host")
    if host is None:
        if head.version == "1.0" and not hosts_allowed:
            return None
        return errors.BAD_HOST("The request has no Host header.", field="Host")
    if b"host" in head.repeated:
        return errors.BAD_HOST("The request has more than one Host header.", field="Host")
    if not _is_host(host):
        return errors.BAD_HOST(
            f"The Host header is {_shown(host)!r}; it must be a name and perhaps a port.",
            field="Host",
            value=_shown(host),
        )
    if hosts_allowed and _name(host) not in hosts_allowed:
        return errors.BAD_HOST(
            f"The host {_shown(host)!r} is not one of this server's names.",
            field="Host",
            value=_shown(host),
        )
    return None


@lru_cache(maxsize=256)
def _is_host(host: bytes) -> bool:
    """Remembered: a server is called by few names."""
    found = _NAME.fullmatch(host)
    return found is not None and b".." not in host and int(found[2] or b"0") <= _PORT_MAX


def _name(host: bytes) -> bytes:
    """`host` without its port, in lower case; [::1] keeps its brackets."""
    name, colon, port = host.rpartition(b":")
    return (name if colon and port.isdigit() else host).lower()


def _shown(value: bytes) -> str:
    return value[:_SHOWN_BYTES_MAX].decode("latin-1")


def target_of(head: Head) -> tuple[bytes, bytes]:
    """Raw path and raw query of the request line.

    Raises: Refusal: a target that is no path, or that names another host than `Host`.
    """
    url = head.url
    if url.startswith(b"/"):
        path, _, query = url.partition(b"?")
        if b"#" in url:
            raise malformed("a fragment in the request target")
        return path, query
    if url == b"*" and head.method == b"OPTIONS":
        return url, b""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise malformed("the request target") from None
    if parsed.schema not in (b"http", b"https") or parsed.userinfo is not None:
        raise malformed("the request target")
    authority = (parsed.host or b"") + (b":%d" % parsed.port if parsed.port else b"")
    if authority.lower() != head.fields.get(b"host", b"").lower():
        raise errors.BAD_HOST("The request target and the Host header name different hosts.")
    return parsed.path or b"/", parsed.query or b""


def decoded_path(raw_path: bytes) -> str:
    """Raises: Refusal: not UTF-8 once percent-decoded."""
    path = raw_path.decode("ascii")
    if "%" not in path:
        return path
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise malformed("a path that is not UTF-8") from None

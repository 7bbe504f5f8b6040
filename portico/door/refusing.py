"""The header lines of an answer: what every refusal carries, and lines made from our own words."""

from portico import errors

JSON = b"content-type: application/json\r\n"


def line(name: str, value: str) -> bytes:
    """One header line.  Anything in `value` that could end the line, or is no Latin-1, becomes
    "?": it may quote what a caller sent."""
    safe = "".join(char if " " <= char <= "~" else "?" for char in value)
    return f"{name}: {safe}\r\n".encode("ascii")


def refusal_lines(refusal: errors.Refusal, request_id: str) -> bytes:
    lines = [JSON, b"x-request-id: %b\r\n" % request_id.encode("ascii")]
    if refusal.retry_after_ms is not None:
        seconds = -(-refusal.retry_after_ms // 1000)
        lines.append(
            b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (seconds, refusal.retry_after_ms)
        )
    if not refusal.entry.retryable:
        # SDKs repeat every 408, 409, 429 and 5xx unless they are told not to.
        lines.append(b"x-should-retry: false\r\n")
    if refusal.status == 401:
        lines.append(b"www-authenticate: Bearer\r\n")
    elif refusal.entry is errors.METHOD_NOT_ALLOWED:
        lines.append(line("allow", ", ".join(refusal.limit)))
    return b"".join(lines)

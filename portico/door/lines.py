"""Header lines of our answers, and the one way words from outside get into one."""

from collections.abc import Iterable

from portico import errors

JSON = b"content-type: application/json\r\ncache-control: no-store\r\n"
"""What is told to one caller is nobody else's: no cache keeps it."""
STANDING = b"x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
"""On every answer."""
SECURE = b"strict-transport-security: max-age=31536000\r\n"
"""On every answer where TLS ends in front of us."""


def line(name: str, value: str) -> bytes:
    """One header line.  Whatever in `value` could end the line, or is not ASCII, becomes "?": it
    may quote what a caller sent."""
    safe = "".join(char if " " <= char <= "~" else "?" for char in value)
    return f"{name}: {safe}\r\n".encode("ascii")


def refusal_lines(refusal: errors.Refusal, told: Iterable[tuple[bytes, bytes]]) -> bytes:
    """What every refusal carries.  told: what its dialect adds (when to try again)."""
    lines = [JSON]
    lines.extend(b"%b: %b\r\n" % header for header in told)
    if refusal.status == 401:
        lines.append(b"www-authenticate: Bearer\r\n")
    elif refusal.entry is errors.METHOD_NOT_ALLOWED:
        lines.append(line("allow", ", ".join(refusal.limit)))
    lines.append(refusal.lines)
    return b"".join(lines)

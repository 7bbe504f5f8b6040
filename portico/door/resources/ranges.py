"""A part of a file, where a request asks for one (RFC 9110, 14): so that a download goes on.  Pure."""

import re

from portico import errors

OFFERED = b"accept-ranges: bytes\r\n"
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


def etag_of(file_id: str) -> str:
    """The bytes behind an id never change."""
    return f'"{file_id}"'


def part_of(wanted: str, only_if: str, etag: str, size_bytes: int) -> range | None:
    """Which bytes are asked for; None for all of them: also of several ranges at once, another unit,
    or what is no range, as RFC 9110 wants it.

    wanted, only_if: what `Range` and `If-Range` say, "" for nothing.
    Raises: Refusal: range_not_satisfiable.
    """
    found = _RANGE.fullmatch(wanted)
    if found is None or (only_if and only_if != etag) or found[0].strip().endswith("=-"):
        return None
    if not found[1]:
        first, last = max(0, size_bytes - int(found[2])), size_bytes - 1
    else:
        first = int(found[1])
        last = min(int(found[2]) if found[2] else size_bytes - 1, size_bytes - 1)
        if found[2] and int(found[2]) < first:
            return None
    if first > last:
        raise _behind(wanted, size_bytes)
    return range(first, last + 1)


def line_of(part: range, size_bytes: int) -> bytes:
    return b"content-range: bytes %d-%d/%d\r\n" % (part.start, part.stop - 1, size_bytes)


def _behind(wanted: str, size_bytes: int) -> errors.Refusal:
    refusal = errors.RANGE_NOT_SATISFIABLE(
        f"'Range' is '{wanted}'; the file has {size_bytes} bytes.",
        field="Range",
        value=wanted,
        limit=size_bytes,
    )
    refusal.lines = b"content-range: bytes */%d\r\n" % size_bytes
    return refusal

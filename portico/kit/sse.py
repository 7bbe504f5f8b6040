"""Server-sent events: the frames we write, and a reader for whatever others write.

The reader takes LF, CRLF and CR line ends, a byte order mark, comments, data over several lines,
`data:` with and without its space, and bytes split anywhere, inside a character or a line end too.
Its memory is bounded by the size of one event.
"""

from typing import NamedTuple

EVENT_BYTES_MAX = 8 * 1024 * 1024

PING = b": ping\n\n"
"""A comment: the only keep-alive every Chat client lets pass."""

_BOM = b"\xef\xbb\xbf"


def frame(payload: bytes) -> bytes:
    """`payload`, which holds no line end, as one event."""
    return b"data: " + payload + b"\n\n"


class Event(NamedTuple):
    """name: of the `event` field, b"" without one.  data: lines joined with LF; never empty, not
    necessarily valid UTF-8."""

    name: bytes
    data: bytes


class EventTooLarge(Exception):
    """An event has grown past the limit without coming to its end."""


class EventReader:
    __slots__ = ("_after_cr", "_bytes_max", "_data", "_data_bytes", "_line", "_name", "_start")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._bytes_max = event_bytes_max
        self._start: bytes | None = b""  # until it is known whether a byte order mark comes first
        self._after_cr = False
        self._line = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes.  Raises: EventTooLarge."""
        if self._start is not None:
            data = self._start + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._start = data
                return []
            self._start = None
            data = data.removeprefix(_BOM)
        if not data:
            return []
        ends_in_cr = data.endswith(b"\r")
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = ends_in_cr
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return self._lines(data)

    def finish(self) -> list[Event]:
        """The stream is over: an event that only lacks its blank line is complete."""
        start, self._start = self._start or b"", None
        return self._lines(start + b"\n\n")

    def _lines(self, data: bytes) -> list[Event]:
        *lines, rest = data.split(b"\n")
        events: list[Event] = []
        for line in lines:
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            self._take(line, events)
        self._line += rest
        if len(self._line) + self._data_bytes > self._bytes_max:
            raise EventTooLarge
        return events

    def _take(self, line: bytes, events: list[Event]) -> None:
        if not line:
            data, name = b"\n".join(self._data), self._name
            self._data.clear()
            self._data_bytes, self._name = 0, b""
            if data:
                events.append(Event(name, data))
            return
        field, _, value = line.partition(b":")  # a comment is the field with no name
        if field == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value)
            if self._data_bytes > self._bytes_max:
                raise EventTooLarge
        elif field == b"event":
            self._name = value.removeprefix(b" ")

"""Answers of a provider, whole."""

from tests.engines.transport.upstream import Script, answering, sized

KEY = "key-of-the-operator"
EVENTS = b"Content-Type: text/event-stream; charset=utf-8\r\n"
JSON = b"Content-Type: application/json\r\n"


def streaming(*events: bytes) -> Script:
    return answering(sized(b"".join(events), fields=EVENTS))


def saying(body: bytes, status: bytes = b"200 OK", fields: bytes = b"") -> Script:
    return answering(sized(body, status=status, fields=JSON + fields))

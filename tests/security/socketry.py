"""Bytes to a server of the tests."""

from bench.edge.talk import ask
from tests.whole.conftest import Served


def said(served: Served, *parts: bytes) -> bytes:
    """What it says to `parts` until it hangs up.  Raises: TimeoutError: it does not."""
    return ask(*served.host_port, *parts)


def authorization(served: Served) -> str:
    return f"Authorization: Bearer {served.api_key}"

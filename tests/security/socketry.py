"""Bytes to a server, and everything it says until it hangs up."""

import contextlib
import socket

from tests.whole.conftest import Served

PATIENT_S = 15.0


def said(served: Served, *parts: bytes, patient_s: float = PATIENT_S) -> bytes:
    """What a server says to `parts`, up to the end of the connection, which it has to bring about.

    Raises: TimeoutError: it keeps the connection open.
    """
    with socket.create_connection(served.host_port, timeout=patient_s) as wire:
        for part in parts:
            # A refusal may come, and end the connection, while there is more to say.
            with contextlib.suppress(ConnectionError):
                wire.sendall(part)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while data := wire.recv(65_536):
                heard += data
        return heard


def authorization(served: Served) -> str:
    return f"Authorization: Bearer {served.api_key}"

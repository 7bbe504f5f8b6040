"""A connection for one message is gone when its caller goes on."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest
from trustme import CA

from portico.kit.dial import answered
from portico.kit.egress import place_of

pytestmark = pytest.mark.anyio


class Silent:
    """Speaks TLS, takes what is sent, and never says goodbye.  gone: its visitor hung up."""

    def __init__(self, tls: ssl.SSLContext, says: bytes) -> None:
        self.port = 0
        self.gone = threading.Event()
        self._tls, self._says = tls, says
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        visitor, _ = self._listening.accept()
        visitor.settimeout(30)
        with self._tls.wrap_socket(visitor, server_side=True) as talking:
            talking.recv(65_536)
            talking.sendall(self._says)
            raw = socket.socket(fileno=talking.detach())  # what comes now is not looked into
        raw.settimeout(30)
        with raw:
            while self._more(raw):
                pass
        self.gone.set()

    def _more(self, raw: socket.socket) -> bool:
        try:
            return bool(raw.recv(65_536))
        except ConnectionError:
            return False

    def close(self) -> None:
        self._thread.join(30)
        self._listening.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(scope="module")
def ca() -> CA:
    return CA()


@pytest.fixture
def silent(ca: CA) -> Iterator[Silent]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    server = Silent(tls, b"yes")
    yield server
    server.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(3)


async def _too_late(reader: asyncio.StreamReader) -> bytes:
    await reader.readexactly(3)
    raise TimeoutError


@pytest.mark.parametrize("read", [_answer, _too_late], ids=["it is answered", "time is up"])
async def test_a_server_that_says_no_goodbye_is_not_waited_for(
    silent: Silent, ca: CA, read: Callable[[asyncio.StreamReader], Awaitable[bytes]]
) -> None:
    """It was, for half a minute, whatever bound the caller had set."""
    tls = ssl.create_default_context()
    ca.configure_trust(tls)
    place = place_of(f"https://127.0.0.1:{silent.port}/")
    asking = answered(place, "127.0.0.1", b"hello", read, tls=tls)
    async with asyncio.timeout(20):
        told = (await asyncio.gather(asking, return_exceptions=True))[0]
        assert told == b"yes" or isinstance(told, TimeoutError)
        assert await asyncio.to_thread(silent.gone.wait, 20)

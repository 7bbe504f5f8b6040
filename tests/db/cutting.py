"""Between a client and PostgreSQL, cutting connections where it hurts most: at the commit."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Cut = Literal["none", "before", "after"]
"""Of a COMMIT: passed on; never arrives; is done, and the answer to it never arrives."""
_COMMIT = b"COMMIT\0"
_PORT = 5432


class CuttingProxy:
    """choose: asked for each COMMIT.  kill: ends a server process (its pid) after a cut."""

    def __init__(
        self, folder: Path, server: str, choose: Callable[[], Cut], kill: Callable[[int], object]
    ) -> None:
        self.cuts: dict[Cut, int] = {"none": 0, "before": 0, "after": 0}
        self._server = server
        self._choose = choose
        self._kill = kill
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / f".s.PGSQL.{_PORT}"))
        self._listening.listen()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._server)
            greeting = b""
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if server in ready:
                    told = server.recv(1 << 20)
                    if not _pid(greeting):
                        greeting += told
                    client.sendall(told)
                    if not told:
                        return
                if client in ready:
                    asked = client.recv(1 << 20)
                    if not asked or not self._ask(server, asked, _pid(greeting)):
                        return

    def _ask(self, server: socket.socket, asked: bytes, pid: int) -> bool:
        """Whether the conversation goes on."""
        if not asked.endswith(_COMMIT):
            server.sendall(asked)
            return True
        cut = self._choose()
        self.cuts[cut] += 1
        if cut != "before":
            server.sendall(asked)
        if cut == "after":
            _answer(server)
        if cut != "none":
            self._kill(pid)
        return cut == "none"


def _answer(server: socket.socket) -> bytes:
    """Until the server is ready for the next question, or has ended the conversation."""
    answer = b""
    while not _complete(answer):
        more = server.recv(1 << 20)
        if not more:
            break
        answer += more
    return answer


def _complete(answer: bytes) -> bool:
    """Messages are a letter and a length; Z is "ready for query"."""
    at, letter = 0, b""
    while at + 5 <= len(answer):
        letter = answer[at : at + 1]
        at += 1 + int.from_bytes(answer[at + 1 : at + 5])
    return at == len(answer) and letter == b"Z"


def _pid(answer: bytes) -> int:
    """From the message K (BackendKeyData) of the greeting."""
    at = 0
    while at + 9 <= len(answer):
        if answer[at : at + 1] == b"K":
            return int.from_bytes(answer[at + 5 : at + 9])
        at += 1 + int.from_bytes(answer[at + 1 : at + 5])
    return 0


@contextmanager
def cutting(
    folder: Path, server: str, choose: Callable[[], Cut], kill: Callable[[int], object]
) -> Iterator[CuttingProxy]:
    """folder: where to listen.  server: the path of PostgreSQL's own socket."""
    proxy = CuttingProxy(folder, server, choose, kill)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()

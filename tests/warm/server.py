"""python -m tests.warm.server LISTENER LIFE: forks a `portico` for whoever asks at a socket.

LISTENER: descriptor of a listening Unix socket.  LIFE: one whose end means that the tests are over.
A request is a marshalled (words, folder, environment) after its length in 4 bytes, with the three
standard streams along; the answers are lines: the process id, then how it ended (as in `Popen`).
Whoever hangs up before that has killed it.

WARM_FOLLOWS_S in that environment: how often a server looks for what commands have changed.  A reader
takes longer to type the next one than the seconds between two looks; here it comes at once.
"""

import atexit
import contextlib
import gc
import marshal
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from portico.admission import budgets
from portico.app import engines
from portico.callers import presence
from portico.cli import output
from portico.cli.main import COMMANDS, main
from portico.pricing import service as pricing
from portico.rates import service as rates

STREAMS = 3


class Asked(NamedTuple):
    words: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    streams: Sequence[int]


class Forks:
    """Those that run, by their sockets."""

    def __init__(self, listener: socket.socket, life: int) -> None:
        self._listener = listener
        self._life = life
        self._running: dict[int, socket.socket] = {}
        self._ended, ended = os.pipe()
        for end in (self._ended, ended):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(ended)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # typed at the tests, which will end us
        self._ready = selectors.DefaultSelector()
        for source in (listener, life, self._ended):
            self._ready.register(source, selectors.EVENT_READ)

    def next(self) -> Asked | None:
        """In a new process what it is asked; in this one None, when the tests are over."""
        while True:
            # Who has hung up goes before the next one comes: it may want the same folder.
            ready = sorted(self._ready.select(), key=lambda one: one[0].fileobj is self._listener)
            for key, _ in ready:
                if key.fileobj is self._listener:
                    asked = self._answer()
                    if asked is not None:
                        return asked
                elif key.fd == self._life:
                    for pid in self._running:
                        os.kill(pid, signal.SIGKILL)
                    return None
                elif key.fd == self._ended:
                    self._tell()
                else:
                    self._kill(key.fileobj)

    def _answer(self) -> Asked | None:
        """What was asked, in the process that was forked for it."""
        asking, _ = self._listener.accept()
        try:
            asked = received(asking)
        except EOFError:
            asking.close()
            return None
        pid = os.fork()
        if pid == 0:
            self._running[0] = asking
            self._leave()
            return asked
        for stream in asked.streams:
            os.close(stream)
        with contextlib.suppress(BrokenPipeError):  # then it has hung up, as is seen next
            asking.sendall(b"%d\n" % pid)
        self._running[pid] = asking
        self._ready.register(asking, selectors.EVENT_READ)
        return None

    def _leave(self) -> None:
        """What a new process has no business with."""
        told = signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._ready.close()
        for other in self._running.values():
            other.close()
        for descriptor in (self._life, self._ended, told):
            os.close(descriptor)

    def _tell(self) -> None:
        os.read(self._ended, 4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                asking = self._running.pop(ended[0])
                with contextlib.suppress(BrokenPipeError):
                    asking.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
                self._forget(asking)

    def _kill(self, asking: object) -> None:
        """It is gone when this is done."""
        for pid, other in list(self._running.items()):
            if other is asking:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self._forget(self._running.pop(pid))

    def _forget(self, asking: socket.socket) -> None:
        with contextlib.suppress(KeyError):
            self._ready.unregister(asking)
        asking.close()


def received(asking: socket.socket) -> Asked:
    head, streams, _, _ = socket.recv_fds(asking, 4, STREAMS)
    length, body = int.from_bytes(head, "big"), b""
    while len(body) < length or not head:
        piece = asking.recv(length - len(body))
        if not piece:
            raise EOFError
        body += piece
    words, folder, environment = marshal.loads(body)
    return Asked(words, folder, environment, streams)


def become(asked: Asked) -> None:
    for place, stream in enumerate(asked.streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.environment)
    tempfile.tempdir = None  # the environment says where
    for console in (output.console, output.errors):  # they read it when they were made
        console.width = int(asked.environment.get("COLUMNS", "80"))
    sys.argv[:] = asked.words
    if "WARM_FOLLOWS_S" in asked.environment:
        often_s = float(asked.environment["WARM_FOLLOWS_S"])
        pricing.REFRESH_S = budgets.REFRESH_S = engines._FOLLOW_EVERY_S = often_s
        rates.REFRESH_S = presence._EVERY_S = often_s


def quit_at_once(code: int) -> None:
    """End as Python does, but leave the memory as it is: the system takes it back.

    To take apart thousands of modules, which this process shares with the warm one until it writes to
    them, costs more than most commands do.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # there is no other word for it
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # Python knows what to say then
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(listener: int, life: int) -> Asked | None:
    for place, _ in COMMANDS.values():
        import_module(place.partition(":")[0])
    assert threading.active_count() == 1, "a fork takes no threads along"
    gc.freeze()
    with socket.socket(fileno=listener) as accepting:
        asked = Forks(accepting, life).next()
    return asked


if __name__ == "__main__":
    told = serve(int(sys.argv[1]), int(sys.argv[2]))
    if told is not None:
        become(told)
        try:
            main()
        except SystemExit as ended:
            if ended.code is None or isinstance(ended.code, int):
                quit_at_once(ended.code or 0)
            raise
        quit_at_once(0)

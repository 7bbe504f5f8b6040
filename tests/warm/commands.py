"""Starts `portico` in the warm process: `run` is `subprocess.run`, `start` is `subprocess.Popen`."""

import contextlib
import marshal
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from subprocess import CompletedProcess

ROOT = Path(__file__).parents[2]
NOBODY = ROOT / "tests" / "nobody.pem"
"""The certificate of nobody: what `SSL_CERT_FILE` names while tests run."""
PROGRAM = ROOT / "portico" / "cli" / "main.py"
"""What a command takes itself for, where nobody says otherwise: `python -m portico.cli.main`."""


class Warm:
    """folder: for a PATH; `portico`, the `word`, is there, and finds `address` in its environment."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="portico-warm-"))
        self.address = str(self.folder / "asks")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen(64)
            life, self._alive = os.pipe()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm.server", str(listener.fileno()), str(life)],
                cwd=ROOT,
                pass_fds=(listener.fileno(), life),
                stdin=subprocess.DEVNULL,
            )
            os.close(life)
        self.word = word = self.folder / "portico"
        client = Path(__file__).with_name("client.py")
        word.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{client}" "{word}" "$@"\n')
        word.chmod(0o700)

    def close(self) -> None:
        os.close(self._alive)
        self._process.wait(30)
        shutil.rmtree(self.folder)


@cache
def warm() -> Warm:
    """The one of this process; `tests/conftest.py` closes it."""
    return Warm()


class Command:
    """As much of `subprocess.Popen` as tests need, of a command whose output is read here."""

    def __init__(
        self, words: list[str], folder: Path, environment: Mapping[str, str], typed: str
    ) -> None:
        """typed: all there is on its standard input, less than a pipe holds."""
        self.returncode: int | None = None
        given, given_end = os.pipe()
        os.write(given_end, typed.encode())
        os.close(given_end)
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        self.stdout: TextIOWrapper = os.fdopen(out)
        self.stderr: TextIOWrapper = os.fdopen(err)
        self._told = b""
        self._asking = socket.socket(socket.AF_UNIX)
        self._asking.connect(warm().address)
        body = marshal.dumps(([str(PROGRAM), *words], str(folder), dict(environment)))
        head = len(body).to_bytes(4, "big")
        socket.send_fds(self._asking, [head], [given, out_end, err_end])
        for end in (given, out_end, err_end):
            os.close(end)
        self._asking.sendall(body)
        self.pid = int(self._line())

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._asking.settimeout(timeout)
            try:
                self.returncode = int(self._line())
            except (TimeoutError, BlockingIOError) as late:
                raise subprocess.TimeoutExpired("portico", timeout or 0.0) from late
            self._asking.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Raises: subprocess.TimeoutExpired."""
        with ThreadPoolExecutor(2) as readers:
            streams = (self.stdout, self.stderr)
            reading = [readers.submit(_rest, stream) for stream in streams]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()  # or the readers would not end
                raise
            out, err = (each.result() for each in reading)
        return out, err

    def _line(self) -> str:
        """A line is sent in one piece; of a command that is quick, two come at once."""
        if not self._told:
            self._told = self._asking.recv(32)
        line, _, self._told = self._told.partition(b"\n")
        return line.decode()


def _rest(stream: TextIOWrapper) -> str:
    if stream.closed:
        return ""
    with stream:
        return stream.read()


def shown_by(words: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[str, int]:
    """What a command says on both streams, as a terminal shows it, and its exit code."""
    out, out_end = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    body = marshal.dumps(([str(warm().word), *words], str(folder), dict(environment)))
    with socket.socket(socket.AF_UNIX) as asking, os.fdopen(out) as shown:
        asking.connect(warm().address)
        head = len(body).to_bytes(4, "big")
        socket.send_fds(asking, [head], [nothing, out_end, out_end])
        for end in (nothing, out_end):
            os.close(end)
        asking.sendall(body)
        text = shown.read()
        with asking.makefile() as answers:
            _, code = answers.readline(), int(answers.readline())
    return text, code if code >= 0 else 128 - code


def start(
    *words: str, folder: Path | None = None, env: Mapping[str, str] | None = None, typed: str = ""
) -> Command:
    """typed: on its standard input."""
    return Command(list(words), folder or Path.cwd(), os.environ if env is None else env, typed)


def run(
    *words: str, folder: Path | None = None, env: Mapping[str, str] | None = None, typed: str = ""
) -> "CompletedProcess[str]":
    command = start(*words, folder=folder, env=env, typed=typed)
    out, err = command.communicate(60)
    assert command.returncode is not None
    return CompletedProcess(["portico", *words], command.returncode, out, err)

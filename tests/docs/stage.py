"""Where a page is acted out: a folder, an environment, and the servers it starts."""

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from anthropic import Anthropic
from google import genai
from openai import OpenAI

from tests.docs.blocks import Block, printed_by, steps_of
from tests.docs.likeness import Words
from tests.warm.commands import shown_by, warm

_SERVES = re.compile(r"\bportico (?:serve|fake-stripe)\b")
_NO_SHELL = re.compile(r"portico [^|&;<>$`*?(){}\[\]\\\n~#!]+")
"""A command of which a shell would make nothing but words."""
_LAST_OF_BANNER = "Ctrl-C stops it"
_ENDS_WITHIN_S = 30


class Stage:
    """One page, from top to bottom, as a reader with one terminal per server would do it."""

    def __init__(self, folder: Path, *, cold: bool) -> None:
        """cold: every command starts Python, as it does for a reader."""
        self._folder = folder
        self._words = Words()
        self._servers: list[subprocess.Popen[str]] = []
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self.exported: dict[str, str] = {}
        """What the page has exported: for its Python blocks, too."""
        self._env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PORTICO_SERVER_PORT": "0",
            "COLUMNS": "120",
            "UV_RUN_RECURSION_DEPTH": "1",  # pages type `uv run portico`, and are told to
        }
        if not cold:
            self._env |= {"WARM_PORTICO": warm().address, "WARM_FOLLOWS_S": "0.05"}
            self._env["PATH"] = f"{warm().folder}{os.pathsep}{self._env['PATH']}"

    def console(self, block: Block) -> str:
        """Run every command of `block`; the first difference, "" when there is none."""
        for step in steps_of(block):
            said, code = self._run(self._words.in_this_run(step.command))
            difference = self._words.difference(step.prints, said)
            if block.varies and code == 0:
                continue
            if difference:
                return f"{block.where}\n$ {step.command}\n{difference}"
        return ""

    def python(self, block: Block) -> str:
        """Run `block` where those before it ran; the difference in what it printed."""
        said = io.StringIO()
        code = compile(self._words.in_this_run(block.text), block.where, "exec")
        with contextlib.redirect_stdout(said):
            exec(code, self._names)
        difference = self._words.difference(printed_by(block), said.getvalue())
        return difference and f"{block.where}\n{difference}"

    def end(self) -> None:
        for value in self._names.values():
            if isinstance(value, OpenAI | Anthropic | genai.Client):
                value.close()
        for server in self._servers:
            self._stop(server, signal.SIGTERM)

    def _run(self, command: str) -> tuple[str, int]:
        """What a command says and its exit code; 0 for a server that is ready."""
        command = command.removeprefix("pip install uv && ").replace("uv run portico", "portico")
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.exported[name] = value
            return "", 0
        if command == "^C":
            return self._stop(self._servers.pop(), signal.SIGINT)
        if _SERVES.search(command):
            return self._serve(re.sub(r"--port \d+", "--port 0", command))
        if "WARM_PORTICO" in self._env and _NO_SHELL.fullmatch(command):
            words = shlex.split(command)[1:]
            return shown_by(words, self._folder, {**self._env, **self.exported})
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env={**self._env, **self.exported},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_ENDS_WITHIN_S,
            check=False,
        )
        return done.stdout, done.returncode

    def _serve(self, command: str) -> tuple[str, int]:
        """Start a server; what it says until it is ready, or until it has given up."""
        server = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self._folder,
            env={**self._env, **self.exported},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = []
        assert server.stdout is not None
        for line in server.stdout:
            said.append(line)
            if line.startswith(_LAST_OF_BANNER):
                self._servers.append(server)
                return "".join(said), 0
        server.stdout.close()
        return "".join(said), server.wait(_ENDS_WITHIN_S)

    def _stop(self, server: "subprocess.Popen[str]", how: signal.Signals) -> tuple[str, int]:
        """End the server; what it said since it was ready."""
        if server.poll() is None:
            os.killpg(server.pid, how)
        try:
            return server.communicate(timeout=_ENDS_WITHIN_S)[0], server.returncode
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            raise

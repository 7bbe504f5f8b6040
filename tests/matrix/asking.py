"""What a scenario asks and hears, in nobody's words; each SDK's module translates."""

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ENOUGH_TOKENS = 600
"""For an answer that ends by itself."""


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Token:
    text: str
    logprob: float
    alternatives: int


@dataclass(frozen=True)
class Answer:
    """What came, said the same way for every SDK.

    texts: of each choice; all else is the first one's.
    ended: "done" (by itself or at a stop sequence), "tools" or "cap".
    pieces: how many pieces of text, thought or call a stream came in; 0 for whole answers.
    tokens_in, tokens_out: as billed, cached and thought tokens included.
    said: the assistant's turn as the SDK holds it, to be sent back as history.
    """

    texts: tuple[str, ...]
    ended: str
    calls: tuple[Call, ...]
    thought: str
    logprobs: tuple[Token, ...]
    pieces: int
    tokens_in: int
    tokens_out: int
    said: Any

    @property
    def text(self) -> str:
        return self.texts[0]


@dataclass(frozen=True)
class Results:
    """What the tools answered, call by call."""

    of: tuple[tuple[Call, dict[str, Any]], ...]


@dataclass(frozen=True)
class Picture:
    """A text with a picture."""

    text: str
    png: bytes


Turn = str | Picture | Answer | Results


@dataclass(frozen=True)
class Question:
    """turns: the user's words, the assistant's turn as it came, what tools answered.

    tool: "auto", or the name of the one that must be called.
    alternatives: how many other tokens are shown at each place; None for no log probabilities.
    think: thoughts are wanted, and shown.
    """

    model: str
    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[Tool, ...] = ()
    tool: str = "auto"
    schema: dict[str, Any] | None = None
    think: bool = False
    stop: str = ""
    choices: int = 1
    alternatives: int | None = None
    tokens_max: int = ENOUGH_TOKENS


class Refused(Exception):
    """The SDK raised what it raises for this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message


class Broken(Exception):
    """The SDK raised what it raises when an answer breaks off."""


@dataclass(frozen=True)
class Door:
    """Where Portico is, and what it says about itself.  origin: without `/v1`."""

    origin: str
    key: str

    def used(self, model: str) -> tuple[int, int, int]:
        """Requests, input tokens and output tokens so far, as recorded."""
        groups = json.loads(self._get("/v1/usage"))["data"]
        for group in groups:
            if group["model"] == model:
                return group["requests"], group["input_tokens"], group["output_tokens"]
        return 0, 0, 0

    def idle(self) -> bool:
        """Is nobody being served, and everything recorded?"""
        gauges = ("portico_requests_running ", "portico_records_open ")
        lines = [line for line in self._get("/metrics").splitlines() if line.startswith(gauges)]
        assert len(lines) == len(gauges), lines
        return all(float(line.split()[1]) == 0 for line in lines)

    def _get(self, path: str) -> str:
        request = urllib.request.Request(
            self.origin + path, headers={"Authorization": f"Bearer {self.key}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())


def eventually(check: Callable[[], bool], within_s: float = 40.0) -> None:
    """Returns as soon as `check` holds; fails when it does not in time."""
    until = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)

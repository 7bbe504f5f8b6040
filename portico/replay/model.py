"""A key, who has it, and what was answered under it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["open", "done"]

Place = tuple[str, str]
"""(project, key): what there is one claim for at most."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that wants its key.  fingerprint: SHA-256 of method, path and decoded body."""

    project_id: str
    key: str
    fingerprint: bytes
    request_id: str

    @property
    def place(self) -> Place:
        return (self.project_id, self.key)


@dataclass(frozen=True, slots=True)
class Release:
    """A request that ended before it was recorded: its key is free again."""

    project_id: str
    key: str
    request_id: str

    @property
    def place(self) -> Place:
        return (self.project_id, self.key)


@dataclass(frozen=True, slots=True)
class Standing:
    """Who has a key.

    request_id: the request that took it.
    expires_at_ms: of a `done` one, when it is forgotten; of an `open` one, when no request can
      still be running.  Wall clock.
    """

    request_id: str
    fingerprint: bytes
    state: State
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, as far as it is the same for everybody who gets it.

    head: complete header lines.
    before, end: the body in two pieces.  What the answer cost stands between them in a stream,
      and is known only in the commit that settles it.
    cost: how that is written, with one %d for nano-USD; b"" where the body does not say it.
    """

    status: int
    head: bytes
    stream: bool
    before: bytes
    cost: bytes
    end: bytes

    def body(self, charged_nano: int | None) -> bytes:
        """charged_nano: None where nothing was set aside for it."""
        said = self.cost % charged_nano if self.cost and charged_nano is not None else b""
        return self.before + said + self.end


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer as the database has it.  body: None where it was too large to be kept."""

    request_id: str
    status: int
    head: bytes
    stream: bool
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What becomes of a claim when its request ends.

    keep_ms: how long it stays done; None: it is released, so that a retry runs.
    answer: None where it is not kept.
    """

    request_id: str
    keep_ms: int | None
    answer: Answer | None = None


class Replayed(Exception):
    """There is an answer already: it is given again, and nothing runs."""

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored.request_id)
        self.stored = stored

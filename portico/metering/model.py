"""The durable fact that a request was admitted, and what it used."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from portico.canon.usage import Meters
from portico.keeping.model import Kept
from portico.ledger.model import Settlement
from portico.replay.model import Ended

Outcome = Literal[
    "running",  # admitted, not ended yet; found at start-up it belonged to a killed process
    "completed",
    "client_gone",  # hung up, or stopped reading
    "drained",  # cut off by our own shutdown
    "revoked",  # cut off because its key has ended
    "preempted",  # of a batch: cut off to make room, and made again later
    "out_of_funds",  # the next window of a stream could not be set aside
    "refused",  # the engine found the request wrong: nothing generated
    "off_schema",  # a whole answer, not in the shape that was promised
    "upstream_failed",
    "killed",  # closed by the sweeper after the process died
    "internal_error",
]


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One admitted request.  `id` is the request id: the record is written exactly once per id.

    started_at_ms: wall clock, for people.  Durations are monotonic.
    ttft_ms: arrival to first token; None when none was made.
    estimated: some of the figures are ours and not the engine's.
    """

    id: str
    organisation_id: str
    project_id: str
    key_id: str
    mode: str
    dialect: str
    model: str
    deployment: str
    stream: bool
    outcome: Outcome
    finish_reason: str
    meters: Meters
    estimated: bool
    started_at_ms: int
    queue_ms: int
    ttft_ms: int | None
    duration_ms: int


class Closing(msgspec.Struct, frozen=True):
    """What goes with the end of a record, in one commit.

    settlement: of its hold; None where nothing was set aside.
    claim: of its idempotency key; None without one.
    kept: what is left of it for later; None for nothing.
    """

    settlement: Settlement | None
    claim: Ended | None
    kept: Kept | None = None


GroupBy = Literal["model", "key", "day", "hour", "request"]


@dataclass(frozen=True, slots=True)
class Question:
    """Whose usage, and when.

    project_id: None asks for the whole installation; only the operator may.
    since_ms, until_ms: start of the request, wall clock, the end not included.
    organisation_id: of that organisation only; None: of any.
    request_id: only of the answer that this request got, whatever it took; None: of any.
    """

    project_id: str | None
    since_ms: int | None = None
    until_ms: int | None = None
    organisation_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over requests that have ended.  estimated: how many rest on our own counting."""

    requests: int
    estimated: int
    meters: Meters


@dataclass(frozen=True, slots=True)
class Page:
    """Records, newest first.  next_cursor: opaque; None on the last page."""

    records: tuple[UsageRecord, ...]
    next_cursor: str | None

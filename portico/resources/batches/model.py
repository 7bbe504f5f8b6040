"""A batch, its lines, and what limits them.  Times are wall clock, milliseconds."""

from dataclasses import dataclass, field
from typing import Any, Literal

from portico.canon.usage import NOTHING, Meters

Kind = Literal["openai", "anthropic"]
State = Literal[
    "validating",
    "in_progress",
    "finalizing",
    "completed",
    "failed",
    "expired",
    "cancelling",
    "cancelled",
]
LineState = Literal["waiting", "running", "succeeded", "errored", "expired", "cancelled"]
MODERATIONS = "/v1/moderations"
ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    MODERATIONS,
)
"""Where lines may be sent that come in a file."""
MESSAGES = "/v1/messages"
TIER = "batch"
"""What lines are priced as."""
WHOLE = frozenset({"completed", "out_of_funds"})
"""Ways of ending whose answer is one, of the requests that lines are."""

LINES_AT_ONCE = 500
"""In one transaction: for all of a batch others would wait too long."""
CANCELLABLE: tuple[State, ...] = ("validating", "in_progress")


@dataclass(frozen=True, slots=True)
class Batch:
    """endpoint: the path that every line is sent to.  lines: how many; 0 before they were read.
    due_at_ms: lines that have not begun by then do not.  expires_at_ms: when what is left of it goes.
    errors: why it failed before a line of it ran, as the API shows it.
    usage, model: of all its lines, as the API shows them, once it has ended; no model where there were
      several.
    """

    id: str
    organisation_id: str
    project_id: str
    key_id: str
    credential_id: str
    kind: Kind
    endpoint: str
    state: State
    input_file_id: str | None
    output_file_id: str | None
    error_file_id: str | None
    metadata: dict[str, Any]
    errors: list[dict[str, Any]] | None
    lines: int
    created_at_ms: int
    due_at_ms: int
    started_at_ms: int | None
    finalizing_at_ms: int | None
    cancelling_at_ms: int | None
    ended_at_ms: int | None
    output_keep_ms: int | None
    expires_at_ms: int | None
    usage: dict[str, Any] | None = None
    model: str | None = None

    @property
    def is_coming(self) -> bool:
        """Its lines are written down, piece by piece; nobody has been told of it."""
        return self.kind == "anthropic" and self.state == "validating"


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines by state."""

    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    cancelled: int = 0

    @property
    def open(self) -> int:
        return self.waiting + self.running

    @property
    def failed(self) -> int:
        return self.errored + self.expired + self.cancelled


@dataclass(frozen=True, slots=True)
class Used:
    """By lines of a batch.  models: that they ran."""

    meters: Meters = NOTHING
    models: frozenset[str] = frozenset()

    def plus(self, other: "Used") -> "Used":
        return Used(self.meters.plus(other.meters), self.models | other.models)


@dataclass(frozen=True, slots=True)
class NewLine:
    """As it was sent.  number: from 1.  request: JSON, what is sent to the endpoint."""

    number: int
    custom_id: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """As it is now.  status, answer: what it was answered, where it was."""

    number: int
    custom_id: str
    state: LineState
    request_id: str | None
    status: int | None
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class Work:
    """A line that was taken from its batch.  request_id: of the request that works on it now."""

    batch_id: str
    number: int
    organisation_id: str
    project_id: str
    key_id: str
    kind: Kind
    endpoint: str
    request: bytes
    request_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Limits:
    """lines_max, line_bytes_max, file_bytes_max: of one batch.  open_max: batches of one project that
    have not ended.  window_ms: until lines that have not begun expire.
    keep_ms: how long what has ended is kept.
    """

    lines_max: int
    line_bytes_max: int
    file_bytes_max: int
    open_max: int
    window_ms: int
    keep_ms: int


@dataclass(slots=True)
class Reading:
    """What was read of a file so far.  errors: of its lines, the first hundred."""

    lines: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

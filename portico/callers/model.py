"""Who is calling, as the hot path knows it: frozen, compiled when the key is loaded."""

from dataclasses import dataclass
from typing import Literal

from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility

Mode = Literal["live", "test"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The one identity behind a request.

    concurrency_max: requests this key may have open at once (running or waiting).
    compatibility: what becomes of what an engine of another dialect cannot do.
    data_use: the most that may be made of this project's prompts.
    """

    key_id: str
    project_id: str
    organisation_id: str
    mode: Mode
    concurrency_max: int
    compatibility: Compatibility = "warn"
    data_use: DataUse = "no_training"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as the database has it.  Times are wall clock, milliseconds."""

    caller: Caller
    expires_at_ms: int | None
    revoked_at_ms: int | None

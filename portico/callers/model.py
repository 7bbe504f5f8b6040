"""Who is calling, as the hot path knows it: frozen, compiled when the key is loaded."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["live", "test"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The one identity behind a request.

    concurrency_max: requests this key may have open at once (running or waiting).
    """

    key_id: str
    project_id: str
    organisation_id: str
    mode: Mode
    concurrency_max: int

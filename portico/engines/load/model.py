"""What an engine says of its load."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from portico.engines.openai_compatible.server import Kind, Server


@dataclass(frozen=True, slots=True)
class Load:
    """Of a whole server, whoever asks it.  None: it does not say, which is not 0.

    running, waiting: requests.  kv_used: share of its key-value cache that is taken, 0 to 1.
    """

    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None

    @property
    def known(self) -> bool:
        return (self.running, self.waiting, self.kv_used) != (None, None, None)


@runtime_checkable
class Measured(Protocol):
    """An engine behind a server that may be asked."""

    @property
    def measured(self) -> tuple[Server, Kind] | None:
        """None while there is no server."""
        ...

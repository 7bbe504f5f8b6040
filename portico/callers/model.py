"""Who is calling, as the hot path knows it: frozen, compiled when the key is loaded."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from portico.callers.scopes import KEY_SCOPES
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility

Mode = Literal["live", "test"]
KeyKind = Literal["live", "test", "admin", "ephemeral"]
"""As its prefix says."""
Network = IPv4Network | IPv6Network
Retention = Literal["zero", "metadata", "days", "contributor"]
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Caller:
    """The one identity behind a request.

    key_id: what limits, budgets and usage go by: of an ephemeral key, the one it was made with.
    concurrency_max: requests this key may have open at once (running or waiting).
    compatibility: what becomes of what an engine of another dialect cannot do.
    data_use: the most that may be made of this project's prompts.
    credential_id: the key that was sent; it is what can be revoked.
    scopes: what it may do: identity AND key AND project.
    models: those it may name; None: all there are.
    networks: where it may come from; (): anywhere.
    retention: what is kept of its requests; retention_days: for "days".
    lines: header lines that every answer to it carries (a key that is being replaced says so).
    patient: nobody waits for this: it takes none of the places of its key.
    """

    key_id: str
    project_id: str
    organisation_id: str
    mode: Mode
    concurrency_max: int
    compatibility: Compatibility = "warn"
    data_use: DataUse = "no_training"
    credential_id: str = ""
    scopes: frozenset[str] = KEY_SCOPES
    models: frozenset[str] | None = None
    networks: tuple[Network, ...] = ()
    retention: Retention = "metadata"
    retention_days: int | None = None
    lines: bytes = b""
    patient: bool = False

    @property
    def content_ms_max(self) -> int | None:
        """How long what it asked and was answered may be kept; 0: not at all, None: nothing says."""
        if self.retention == "zero":
            return 0
        if self.retention == "days" and self.retention_days is not None:
            return self.retention_days * _DAY_MS
        return None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as the database has it.  Times are wall clock, milliseconds.

    suspended: why its organisation may not ask now, "" when it may.
    archived: its project is closed.
    """

    caller: Caller
    expires_at_ms: int | None
    revoked_at_ms: int | None
    suspended: str | None = None
    archived: bool = False

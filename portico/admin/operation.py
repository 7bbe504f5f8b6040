"""One thing that can be asked of the admin API: what it needs, and who does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from portico.accounts.actors.model import Errand
from portico.callers.pepper import Pepper
from portico.kit.sealing import Seal

Told = dict[str, Any]
"""An answer, as a document."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """peppers: keys are hashed with; seal: closes keys of upstreams."""

    peppers: tuple[Pepper, ...]
    seal: Seal


@dataclass(frozen=True, slots=True)
class Ask:
    """id: what `{id}` stood for, "" without one.  query: parameters by name, the last of each.
    body: of the operation's type; None where it takes none."""

    errand: Errand
    id: str
    query: Mapping[str, str]
    body: Any
    secrets: Secrets


@dataclass(frozen=True, slots=True)
class Operation:
    """scope: what whoever asks must have, somewhere at least; where exactly is the service's to ask.

    run: does it, inside a transaction (a GET reads).  Raises: Refusal.
    answer: what it answers when it is done.
    body: what the request's is checked against; None where it takes none.
    secret: the member of the answer that is shown once and kept nowhere; "" for none.
    query: the parameters it reads.
    long: it may look at very many rows.
    """

    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
    path: str
    scope: str
    summary: str
    run: Callable[[Ask], Told]
    answer: type
    body: type | None = None
    secret: str = ""
    query: tuple[str, ...] = ()
    long: bool = False

    @property
    def reads(self) -> bool:
        return self.method == "GET"

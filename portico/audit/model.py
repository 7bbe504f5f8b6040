"""One change, and who made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ActorKind = Literal["operator", "user", "service_account", "key", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """id: of the user, service account or key; for the operator, who was logged in on the machine.

    credential_id: of the key it came with; "" for the command line.
    address: where from; "" for the command line.
    """

    kind: ActorKind
    id: str
    credential_id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A link of the chain.

    organisation_id: "" for what belongs to the installation.  sequence: from 1, without gaps.
    action: such as `key.create`.  target: the id of what was changed.
    details_hash: SHA-256 of what it was before and is now, which may be blacked out later.
    """

    organisation_id: str
    sequence: int
    at_ms: int
    actor: Actor
    action: str
    target: str
    details_hash: bytes
    previous_hash: bytes
    hash: bytes


Details = Mapping[str, Any]
"""Of a target, as it can be shown: never a secret."""

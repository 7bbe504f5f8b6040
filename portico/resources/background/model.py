"""A response that is to be made while nobody waits."""

from dataclasses import dataclass

from portico.keeping.model import KeptResponse


@dataclass(frozen=True, slots=True)
class Wanted:
    """A new one.  response: as it stands in line.  request: the body as it was sent.
    events: what a stream of it says first, b"" for none."""

    response: KeptResponse
    request: bytes
    events: bytes


@dataclass(frozen=True, slots=True)
class Task:
    """One that was taken from the line.  request_id: of the request that works on it now.
    credential_id: the key that was sent, which may be an ephemeral one of `key_id`.
    body: as it stood in line."""

    id: str
    organisation_id: str
    project_id: str
    key_id: str
    credential_id: str
    stream: bool
    request: bytes
    body: bytes
    request_id: str
    attempts: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """at_once: made at once by this process.  per_project_max: in line or under way.
    age_ms_max: what has not been answered by then fails.  attempts_max: begun so often."""

    at_once: int
    per_project_max: int
    age_ms_max: int
    attempts_max: int = 5

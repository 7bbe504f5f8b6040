"""What is kept of a request once it has ended."""

import msgspec


class KeptResponse(msgspec.Struct, frozen=True, tag="response"):
    """A response to be read again, and to be followed by others.

    state: completed, incomplete, failed or cancelled.
    input, body: JSON; its own items alone, and the response object.
    keep_ms: from its end; None: until it is deleted.
    request_id: what it was made by, of one in the background; None of others.
    conversation_id, items: where these go as well, each a JSON object with an id.
    locked_by: who keeps others from that conversation until then.
    """

    id: str
    organisation_id: str
    project_id: str
    key_id: str
    credential_id: str
    model: str
    state: str
    stream: bool
    previous_id: str | None
    input: bytes
    body: bytes
    created_at_ms: int
    keep_ms: int | None
    request_id: str | None = None
    conversation_id: str | None = None
    items: tuple[bytes, ...] = ()
    locked_by: str = ""


class KeptLine(msgspec.Struct, frozen=True, tag="line"):
    """What a line of a batch was answered.  state: succeeded or errored; status: HTTP's."""

    batch_id: str
    number: int
    organisation_id: str
    request_id: str
    state: str
    status: int
    answer: bytes


Kept = KeptResponse | KeptLine

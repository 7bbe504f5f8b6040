"""A file on its way from a form to the shelf: never whole in memory, and never wanted in vain."""

from collections.abc import Callable, Mapping

from portico.door.exchange import Exchange
from portico.door.intake.decoding import codings_of
from portico.door.resources.forms import OVERHEAD_BYTES_MAX, Begun, Form
from portico.door.resources.repeating import Weighed
from portico.resources.files.drafts import Draft
from portico.resources.files.rules import empty, too_large

_FRAME_BYTES = 4_096
"""About what a form has around its file."""
Look = Callable[[Mapping[str, str], Begun], None]
"""At the fields that came before the file, and at what it is called.  Raises: Refusal, so that the file need not come."""


def form_of(exchange: Exchange, file: str, bytes_max: int) -> Form:
    """file: what its field is called.  bytes_max: of the file; what says that it has more is refused
    before a byte of it is read.

    Raises: Refusal: invalid_form, unsupported_encoding, file_too_large."""
    codings_of(exchange.headers.get(b"content-encoding", b""), allowed=False)
    form = Form(exchange.headers.get(b"content-type", b""), file)
    declared_bytes = int(exchange.headers.get(b"content-length", b"0"))
    if declared_bytes > bytes_max + OVERHEAD_BYTES_MAX:
        raise too_large(file, declared_bytes, bytes_max)
    return form


def announced(exchange: Exchange) -> int:
    """How many bytes the file has at least, by the length of its request; 0 where it says none."""
    declared_bytes = int(exchange.headers.get(b"content-length", b"0"))
    return max(0, declared_bytes - _FRAME_BYTES)


async def receive(
    exchange: Exchange, form: Form, draft: Draft, look: Look, weighed: Weighed
) -> Begun:
    """The file, into the draft.  Raises: Refusal; Left."""
    begun = Begun("", "")
    while data := await exchange.piece(draft.bytes_max + OVERHEAD_BYTES_MAX):
        for event in form.feed(data):
            if isinstance(event, Begun):
                begun = event
                weighed.begin(begun)
                look(form.fields, event)
            else:
                weighed.add(event)
                await draft.add(event)
    form.end()
    if not draft.size_bytes:
        raise empty(draft.field)
    return begun

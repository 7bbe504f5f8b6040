"""Files that a request names by id, put where their ids stood: whoever reads the request afterwards
finds what it would have found had they been sent with it."""

from base64 import b64encode
from collections.abc import Sequence

from portico import errors
from portico.callers.model import Caller
from portico.callers.scopes import FILES
from portico.dialects import links
from portico.dialects.diagnosis import brief, shown
from portico.dialects.media import MEDIA_BYTES_MAX
from portico.dialects.stored import Content, Named
from portico.door.intake.files import PDF
from portico.resources.files.model import File, Owner
from portico.resources.files.rules import BINARY, not_found
from portico.resources.files.service import Files

NAMED_MAX = 32
"""In one request."""


class KeptFiles:
    def __init__(self, files: Files) -> None:
        self._files = files

    async def put(self, named: Sequence[Named], caller: Caller, room: int) -> int:
        """Each file in its place.  Gives what is left of `room`, in characters of base64.

        Raises: Refusal: permission_denied, out_of_range, resource_not_found, media_too_large,
        invalid_media, storage_unavailable.
        """
        _check(named, caller)
        owner = Owner.of(caller)
        found = await self._files.some(owner, {each.file_id for each in named})
        for each in named:
            if each.file_id not in found:
                raise not_found(each.file_id, each.path)
        for each in named:
            file = found[each.file_id]
            room -= _characters(file)
            if room < 0 or file.size_bytes > MEDIA_BYTES_MAX:
                raise _too_large(each, file)
            each.put(_content(each, file, await self._files.read(file)))
        return room


def _check(named: Sequence[Named], caller: Caller) -> None:
    """Raises: Refusal."""
    first = named[0]
    if FILES not in caller.scopes:
        raise errors.PERMISSION_DENIED(
            f"{first.path!r} names a file; this key may not read files: it lacks the scope "
            f"{FILES!r}.",
            field=first.path,
            value=brief(first.file_id),
            limit=FILES,
        )
    if len(named) > NAMED_MAX:
        raise errors.OUT_OF_RANGE(
            f"{named[NAMED_MAX].path!r} is the {NAMED_MAX + 1}th file named by its id; it must be "
            f"at most {NAMED_MAX}.",
            field=named[NAMED_MAX].path,
            value=len(named),
            limit=NAMED_MAX,
        )


def _content(named: Named, file: File, data: bytes) -> Content:
    """Raises: Refusal: invalid_media."""
    kind = links.media_type(data[:16])
    text = None
    if named.kind == "image" and not kind.startswith("image/"):
        raise _another(named, file, "PNG, JPEG, GIF or WEBP")
    if not kind:
        text = _text(data)
        kind = file.media_type
    if named.kind == "document" and kind != PDF and text is None:
        raise _another(named, file, "PDF, or text in UTF-8")
    if text is not None and kind == BINARY:
        kind = "text/plain"
    return Content(kind, b64encode(data).decode(), file.filename, text)


def _text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _characters(file: File) -> int:
    """Of its base64."""
    return (file.size_bytes + 2) // 3 * 4


def _another(named: Named, file: File, wanted: str) -> errors.Refusal:
    return errors.INVALID_MEDIA(
        f"{named.path!r} is {shown(named.file_id)}, a file of another kind; here it must be "
        f"{wanted}.",
        field=named.path,
        value=brief(file.media_type),
        limit=wanted,
    )


def _too_large(named: Named, file: File) -> errors.Refusal:
    return errors.MEDIA_TOO_LARGE(
        f"{named.path!r} is {shown(named.file_id)}, which has {file.size_bytes} bytes: with it the "
        "request is larger than one may be.",
        field=named.path,
        value=file.size_bytes,
        limit=MEDIA_BYTES_MAX,
    )

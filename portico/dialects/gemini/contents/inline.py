"""Files that come inside a part: what they are, whether they are whole, and their canon form."""

import base64
import binascii
from typing import Literal

from portico import errors
from portico.canon.conversation import AudioPart, FilePart, ImagePart, Part, TextPart
from portico.canon.prompt import Feature
from portico.dialects import media
from portico.dialects.diagnosis import brief, shown
from portico.dialects.gemini.contents.signatures import standard
from portico.dialects.gemini.request import Blob, FileData

_SOUNDS: dict[str, Literal["wav", "mp3"]] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
_IMAGES = ("image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp")
_FILES = ("application/pdf", "application/json")
_TEXTS = "text/"


def check_blob(path: str, blob: Blob) -> tuple[Feature | None, int]:
    """What a model must take in to use it, and its characters of base64.  None: it is text, which
    every model reads.

    Raises: Refusal: invalid_value, invalid_media, media_too_large.
    """
    kind, place = blob.mime_type.lower().partition(";")[0].strip(), f"{path}.data"
    data = standard(blob.data)
    if kind in _SOUNDS:
        return "audio", media.check_audio(place, data, _SOUNDS[kind])
    if kind in _IMAGES:
        return "image", media.check_image_data(place, data)
    if kind in _FILES:
        return "file", media.check_file(place, data)
    if kind.startswith(_TEXTS):
        characters = media.check_file(place, data)
        _text(place, data)
        return None, characters
    known = [*_IMAGES, *_SOUNDS, *_FILES, "text/*"]
    raise errors.INVALID_VALUE(
        f"'{path}.mimeType' is {shown(blob.mime_type)}; it must be one of: {', '.join(known)}.",
        field=f"{path}.mimeType",
        value=brief(blob.mime_type),
        limit=known,
    )


def refuse_file(path: str, file: FileData) -> errors.Refusal:
    """What could be fetched stands inline by now, and so does what is kept here."""
    remedy = (
        "Send the file as 'inlineData', in base64; operators: `media.fetch` lets Portico fetch it."
    )
    if "files/" in file.file_uri:  # as Gemini's own files are called, which are not here
        remedy = (
            "Send the file to POST /v1/files and name it: 'files/' and its id; or send it as "
            "'inlineData', in base64."
        )
    return errors.MEDIA_URL_REFUSED(
        f"'{path}.fileUri' is {shown(file.file_uri)}; it is no address that is fetched here.",
        field=f"{path}.fileUri",
        value=brief(file.file_uri),
        limit="inlineData",
        remedy=remedy,
    )


def part_of(blob: Blob) -> Part:
    """Of a blob that was checked."""
    kind, data = blob.mime_type.lower().partition(";")[0].strip(), standard(blob.data)
    if kind in _SOUNDS:
        return AudioPart(data, _SOUNDS[kind])
    if kind in _IMAGES:
        return ImagePart(f"data:{kind.replace('jpg', 'jpeg')};base64,{data}")
    if kind in _FILES:
        return FilePart(data, kind, blob.display_name or "")
    return TextPart(_text("", data))


def _text(path: str, data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise errors.INVALID_MEDIA(
            f"{path!r} is not text in UTF-8: {error}.",
            field=path,
            value=brief(data[:40]),
            limit="UTF-8",
        ) from None

"""One picture, decoded and made what an engine takes.  Runs in the decoder only."""

from base64 import b64decode, b64encode
from io import BytesIO

from PIL import Image, ImageOps

from portico.media.model import Kept, Made, Picture, Refused
from portico.media.rules import FORMATS, MEDIA_TYPES, Facts, shrunk, stays

_ORIENTATION = 0x0112
_UPRIGHT = 1
_QUALITY = 90
_DEPTH_AT = 24
"""Of a PNG: the byte of its header that says bits for each channel."""
_SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_BYTE_OF_SIXTEEN = 1 / 256

Image.MAX_IMAGE_PIXELS = None  # ours is checked, and lower


def seen(job: Picture) -> Kept | Made | Refused:
    """Raises: MemoryError; anything else that Pillow raises for a file that is broken."""
    data = b64decode(job.data)
    with Image.open(BytesIO(data), formats=FORMATS) as picture:
        pixels = picture.width * picture.height
        if pixels > job.pixels_max:
            return Refused("pixels", pixels, job.pixels_max)
        moving = bool(getattr(picture, "is_animated", False))
        if moving:
            picture.seek(0)
        width, height = picture.size
        if not moving and picture.format == "JPEG":
            # The decoder itself leaves out what is not wanted: a fraction of the work.
            picture.draft(None, shrunk(width, height, job.pixels_sent_max))
        picture.load()
        facts = Facts(
            form=picture.format or "",
            mode=picture.mode,
            width=width,
            height=height,
            turned=picture.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT,
            moving=moving,
            deep=picture.format == "PNG" and data[_DEPTH_AT] == 16,
            clear=picture.mode == "P" and "transparency" in picture.info,
        )
        if stays(facts, job.taken, job.pixels_sent_max):
            return Kept()
        return _made(picture, facts, job, lossy=_is_lossy(facts.form, data))


def _made(picture: Image.Image, facts: Facts, job: Picture, *, lossy: bool) -> Made:
    size = shrunk(facts.width, facts.height, job.pixels_sent_max)
    picture = _plain(picture)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if facts.turned:
        ImageOps.exif_transpose(picture, in_place=True)
    form = "JPEG" if lossy and picture.mode in ("L", "RGB") else "PNG"
    if MEDIA_TYPES[form] not in job.taken:
        form = "PNG"  # which every engine takes
    file = BytesIO()
    # Nothing of what the file said beside its pixels goes along.
    picture.info = {}
    picture.save(file, form, quality=_QUALITY, exif=b"")
    return Made(
        MEDIA_TYPES[form],
        b64encode(file.getbuffer()).decode(),
        still=facts.moving,
        shrunk=size != (facts.width, facts.height),
    )


def _plain(picture: Image.Image) -> Image.Image:
    """In a mode that every decoder reads alike."""
    mode = picture.mode
    if mode in _SIXTEEN_BITS:
        return picture.convert("I").point(lambda level: level * _BYTE_OF_SIXTEEN).convert("L")
    if "transparency" in picture.info or mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return picture.convert("RGBA")
    return picture.convert("L" if mode in ("1", "L") else "RGB")


def _is_lossy(form: str, data: bytes) -> bool:
    return form in ("JPEG", "MPO") or (form == "WEBP" and b"VP8L" not in data)

"""Files for the tests: whole ones, and ones that are made to hurt."""

import io
import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from typing import Any

from PIL import Image


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def picture(
    mode: str = "RGB", size: tuple[int, int] = (40, 30), form: str = "PNG", **how: Any
) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, how.pop("colour", 0)).save(file, form, **how)
    return file.getvalue()


def moving(frames: int = 3, form: str = "GIF", size: tuple[int, int] = (8, 8)) -> bytes:
    """Black first, and another colour in each further frame."""
    first, *others = [
        Image.new("RGB", size, (at * 37 % 256, 0, at // 7 % 256)) for at in range(frames)
    ]
    file = io.BytesIO()
    first.save(file, form, save_all=True, append_images=others)
    return file.getvalue()


def _piece(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def blank_png(width: int, height: int) -> bytes:
    """One bit for each pixel, all the same: next to nothing once packed."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes((1 + width // 8) * height), 9)
    pieces = _piece(b"IHDR", head) + _piece(b"IDAT", packed) + _piece(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


@cache
def lying_png(width: int, height: int, unpacked_bytes: int) -> bytes:
    """Small by its header, and its data goes on and on."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(unpacked_bytes), 9)
    text = _piece(b"zTXt", b"Comment\0\0" + packed)
    pieces = _piece(b"IHDR", head) + text + _piece(b"IDAT", packed) + _piece(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


def many_frames(frames: int) -> bytes:
    """A GIF of tiny frames, each a copy of the first's bytes."""
    whole = moving(2)
    second = whole.rindex(b"\x21\xf9")
    return whole[:second] + whole[second:-1] * (frames - 1) + whole[-1:]


def _objects(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF file of these objects, numbered from 1; the first is the catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    starts = []
    for number, each in enumerate(objects, 1):
        starts.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % start for start in starts)
    out += b"trailer\n<< /Size %d /Root 1 0 R %b >>\n" % (len(objects) + 1, trailer)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table)


def _stream(data: bytes, about: bytes = b"") -> bytes:
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(data), about, data)


_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def _page(content: int, size: str = "0 0 200 100") -> bytes:
    return (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [%b] /Contents %d 0 R "
        b"/Resources << /Font << /F 3 0 R >> >> >>" % (size.encode(), content)
    )


def _words(text: str) -> bytes:
    return b"BT /F 12 Tf 10 50 Td (%b) Tj ET" % text.encode("latin-1")


def pdf(*pages: str, size: str = "0 0 200 100", trailer: bytes = b"") -> bytes:
    """One page for each text."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", _FONT]
    kids = []
    for text in pages:
        kids.append(b"%d 0 R" % (len(objects) + 1))
        objects += [_page(len(objects) + 2, size), _stream(_words(text))]
    objects[1] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    return _objects(objects, trailer)


def pdf_with(content: bytes) -> bytes:
    """One page that is drawn by `content`, packed."""
    packed = _stream(zlib.compress(content, 9), b"/Filter /FlateDecode")
    pages = b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>"
    return _objects([b"<< /Type /Catalog /Pages 2 0 R >>", pages, _FONT, _page(5), packed])


def pdf_with_image(side: int) -> bytes:
    """One page of an image with side times side pixels, next to nothing once packed."""
    about = (
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8 "
        b"/ColorSpace /DeviceRGB /Filter /FlateDecode" % (side, side)
    )
    image = _stream(zlib.compress(bytes(side * side * 3), 9), about)
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 5 0 R "
        b"/Resources << /XObject << /I 6 0 R >> >> >>"
    )
    pages = b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>"
    shown = _stream(b"q 200 0 0 100 0 0 cm /I Do Q")
    return _objects([b"<< /Type /Catalog /Pages 2 0 R >>", pages, _FONT, page, shown, image])


def looped_pdf() -> bytes:
    """Its tree of pages is its own child."""
    pages = b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 3 /Parent 2 0 R >>"
    return _objects([b"<< /Type /Catalog /Pages 2 0 R >>", pages])


def locked_pdf() -> bytes:
    """Nobody knows the password; there is none."""
    secret = b"<" + b"5a" * 32 + b">"
    lock = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O %b /U %b >>" % (secret, secret)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        _FONT,
        _page(5),
        _stream(_words("secret")),
        lock,
    ]
    return _objects(objects, b"/Encrypt 6 0 R /ID [<00> <00>]")


def strewn_pdf() -> bytes:
    """Every place its table names holds something else."""
    whole = bytearray(pdf("lost"))
    table = whole.rindex(b"xref\n0 ")
    for at in range(table + 10, len(whole) - 10):
        whole[at] = (at * 7919) % 251
    whole[9:table] = bytes((at * 6151) % 251 for at in range(9, table))
    return bytes(whole)


def wav(seconds: float, rate: int = 8_000) -> bytes:
    data = bytes(int(seconds * rate))
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8)
    length = struct.pack("<I", 36 + len(data))
    return b"RIFF" + length + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data)) + data

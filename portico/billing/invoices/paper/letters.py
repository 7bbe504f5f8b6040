"""The font of a PDF, and what is done about letters that it does not have.

Bitstream Vera comes with reportlab and may be embedded; it has the letters of western Europe.  An
operator with customers elsewhere names a TrueType font of their own.  A letter that the font
lacks is never dropped or replaced by a similar one: it is written by its number in Unicode.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]  # ships no types
from reportlab.pdfbase.ttfonts import TTFError, TTFont  # type: ignore[import-untyped]  # the same

_REGULAR, _BOLD = "Vera.ttf", "VeraBd.ttf"


class FontUnusable(Exception):
    """The file of invoices.font_file is no TrueType font, or cannot be read."""


@dataclass(slots=True)
class Letters:
    """One document's way of writing.  missing: letters that were written by their number."""

    regular: str
    bold: str
    _known: frozenset[int]
    missing: set[str] = field(default_factory=set)

    def plain(self, text: str) -> str:
        """Text that the font can show."""
        return "".join(self._letter(letter) for letter in text)

    def markup(self, text: str) -> str:
        """The same for a paragraph, where some letters would be markup."""
        return escape(self.plain(text))

    def _letter(self, letter: str) -> str:
        if ord(letter) in self._known:
            return letter
        self.missing.add(letter)
        return f"[U+{ord(letter):04X}]"


def letters(font_file: str) -> Letters:
    """font_file: path of a TrueType font, "" for the one that comes with reportlab.

    Raises: FontUnusable.
    """
    regular, bold = (font_file, font_file) if font_file else (_REGULAR, _BOLD)
    faces = _font(regular), _font(bold)
    known = frozenset(faces[0].face.charToGlyph) & frozenset(faces[1].face.charToGlyph)
    return Letters(faces[0].fontName, faces[1].fontName, known)


@lru_cache(8)
def _font(path: str) -> Any:
    """Raises: FontUnusable."""
    try:
        font = TTFont(f"portico {path}", path)
    except (TTFError, OSError) as error:
        raise FontUnusable(f"{path}: {error}") from error
    pdfmetrics.registerFont(font)
    return font

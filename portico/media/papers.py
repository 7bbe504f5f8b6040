"""One PDF file: the text of its pages, and pictures of them.  Runs in the decoder only."""

from base64 import b64decode, b64encode
from contextlib import closing
from io import BytesIO

from pypdfium2 import PdfDocument, PdfiumError, PdfPage  # type: ignore[import-untyped]  # ships no types
from pypdfium2 import raw as pdfium

from portico.media.model import Page, Pages, Paper, Refused
from portico.media.rules import page_scale

_QUALITY = 85
_NEWLINES = str.maketrans({"\r": None, "\0": None, "\ufffe": "-", "\uffff": None})
"""\ufffe: where pdfium found a word parted at the end of a line."""


def read(job: Paper) -> Pages | Refused:
    """Raises: MemoryError."""
    try:
        document = PdfDocument(b64decode(job.data))
    except PdfiumError as error:
        locked = error.err_code == pdfium.FPDF_ERR_PASSWORD
        return Refused("encrypted" if locked else "broken")
    with document:
        count = len(document)
        if count > job.pages_max:
            return Refused("pages", count, job.pages_max)
        if not count:
            return Refused("broken")
        return _pages(document, count, job)


def _pages(document: PdfDocument, count: int, job: Paper) -> Pages | Refused:
    pages: list[Page] = []
    characters = 0
    for at in range(count):
        try:
            page = document[at]
            text = _text(page, job.characters_max - characters)
            image = _image(page, job.page_pixels_max) if at < job.images_max else ""
            page.close()
        except PdfiumError:
            return Refused("page_broken", at + 1)
        characters += len(text)
        if characters > job.characters_max:
            return Refused("characters", characters, job.characters_max)
        pages.append(Page(text, image))
    return Pages(pages)


def _text(page: PdfPage, characters_max: int) -> str:
    """What stands on the page itself: what is written beside it, nobody sees.

    Of a page with more than `characters_max` only so many blanks: nobody will read it.
    """
    with closing(page.get_textpage()) as words:
        characters: int = words.count_chars()
        if characters > characters_max:
            return " " * characters
        text: str = words.get_text_bounded(errors="ignore")
    return text.translate(_NEWLINES).strip()


def _image(page: PdfPage, pixels_max: int) -> str:
    width, height = page.get_size()
    scale = page_scale(width, height, pixels_max)
    if not scale:
        return ""
    with closing(page.render(scale=scale, may_draw_forms=False)) as bitmap:
        file = BytesIO()
        bitmap.to_pil().convert("RGB").save(file, "JPEG", quality=_QUALITY)
    return b64encode(file.getbuffer()).decode()

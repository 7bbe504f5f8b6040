"""A text as rules read it: what hides words without changing them for a reader is taken away.  Pure.

`plain`: compatibility forms as their ordinary letters (NFKD), without marks, controls and characters of
no width; every run of white space one space or line break.  `folded`: that without case, letters of other scripts
that look like Latin ones as those, letters that are held apart (k.i.l.l) together again.  `spelt`: that
with letters for the digits that stand for some (k1ll).
"""

import unicodedata
from functools import lru_cache

import re2  # type: ignore[import-untyped]  # ships no types

_LAST = 0x3200
_ALSO = (range(0xFE00, 0xFE30), range(0xFEFF, 0xFF00), range(0xE0000, 0xE01F0))
"""Behind the scripts: selectors, half marks, the byte order mark, tags."""
_FILLERS = (0x115F, 0x1160, 0x3164, 0xFFA0)
"""Hangul letters that show nothing."""
_SHOWS_NOTHING = frozenset({"Mn", "Me", "Cf", "Cc"})
_WHITE = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85"

_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

_LOOKS_LIKE = str.maketrans(
    "авекмнорстухіїјѕԁһӏԛԝ" + "αβγεζηικμνορτυχω" + "ıɑɡƚøłđħ" + "’‘ʼ`",
    "abekmhopctyxiijsdhlqw" + "abyeznikmvoptuxw" + "iagloldh" + "''''",
)
"""Of Cyrillic, Greek and the rest of Latin, in lower case; and apostrophes.  (Bare letters: their
marks are gone by then.)"""
_DIGITS = str.maketrans("013457@$", "oieastas")
_APART = re2.compile(r"\b(?:[a-z][.\-_*·]){2,30}[a-z]\b")
_STANDING_IN = re2.compile(r"[a-z][013457@$]|[013457@$][a-z]")
_NO_SIGNS = str.maketrans("", "", ".-_*·")


@lru_cache(maxsize=1)
def _invisible() -> dict[int, None]:
    """For `str.translate`: white space stays."""
    places = (*range(_LAST), *(place for more in _ALSO for place in more))
    found = {
        place: None
        for place in places
        if unicodedata.category(chr(place)) in _SHOWS_NOTHING and chr(place) not in _WHITE
    }
    return found | dict.fromkeys(_FILLERS)


def plain(text: str) -> str:
    """At most 18 times as long: so many letters one compatibility form stands for."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.replace("´", "'"))  # else a space and a mark
    elif text.isprintable():
        return text
    return text.translate(_invisible())


def squeezed(text: str) -> str:
    """Every run of white space one space, or one line break where it holds one; none is lost at
    either end."""
    if not text or text.isspace():
        return _gap(text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    inner = "\n".join(line for line in lines if line)
    before, after = len(text) - len(text.lstrip()), len(text.rstrip())
    return _gap(text[:before]) + inner + _gap(text[after:])


def _gap(white: str) -> str:
    if any(sign in white for sign in _BREAKS):
        return "\n"
    return " " if white else ""


def folded(text: str) -> str:
    """text: plain."""
    text = text.casefold()
    if not text.isascii():
        text = text.translate(_LOOKS_LIKE)
    joined: str = _APART.sub(_joined, text)
    return joined


def spelt(text: str) -> str:
    """text: folded.  With letters in the place of digits, where some may stand for them; else ""."""
    return text.translate(_DIGITS) if _STANDING_IN.search(text) else ""


def _joined(found: re2._Match) -> str:
    return str(found.group(0)).translate(_NO_SIGNS)

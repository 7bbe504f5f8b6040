"""A text that matches a regular expression, by construction: the caller's expression is never run,
so it cannot be made to take forever.

Known are literals, `.`, classes, \\d \\w \\s and their opposites, groups, `|`, repeats, and `^`
and `$` at the ends.  Look-around, back-references and word boundaries are refused.
"""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

_PATTERN_CHARACTERS_MAX = 4_000
_DEPTH_MAX = 24
_CHARACTERS_MAX = 1_000
_MORE_REPEATS = 3
_PRINTABLE = string.ascii_letters + string.digits + " _-.,:;!?/@#+=*()[]{}<>|~^$%&'\"`\\"
_CLASSES = {
    "d": string.digits,
    "w": string.ascii_letters + string.digits + "_",
    "s": " ",
    "D": string.ascii_letters,
    "W": "-. ",
    "S": string.ascii_letters + string.digits,
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


class UnknownPattern(Exception):
    """The expression is broken, too big, or uses what is not known here."""


@dataclass(frozen=True, slots=True)
class _Any:
    characters: str


@dataclass(frozen=True, slots=True)
class _Repeat:
    node: "_Node"
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class _Row:
    nodes: "tuple[_Node, ...]"


@dataclass(frozen=True, slots=True)
class _Either:
    branches: tuple[_Row, ...]


_Node = _Any | _Repeat | _Row | _Either


def matching(pattern: str, rng: Random, tries: int) -> Iterator[str]:
    """At most `tries` texts.  Raises: UnknownPattern."""
    if len(pattern) > _PATTERN_CHARACTERS_MAX:
        raise UnknownPattern(f"it is longer than {_PATTERN_CHARACTERS_MAX} characters")
    reader = _Reader(pattern)
    tree = reader.either(0)
    if reader.at < len(pattern):
        raise UnknownPattern(f"unexpected {pattern[reader.at]!r} at {reader.at}")
    for _ in range(tries):
        made: list[str] = []
        _make(tree, rng, made)
        yield "".join(made)


def _make(node: _Node, rng: Random, made: list[str]) -> None:
    if len(made) > _CHARACTERS_MAX:
        raise UnknownPattern(f"it asks for more than {_CHARACTERS_MAX} characters")
    match node:
        case _Any(characters):
            made.append(rng.choice(characters))
        case _Row(nodes):
            for part in nodes:
                _make(part, rng, made)
        case _Either(branches):
            _make(rng.choice(branches), rng, made)
        case _Repeat(inner, least, most):
            for _ in range(rng.randint(least, min(most, least + _MORE_REPEATS))):
                made.append("")  # so that repeating nothing comes to an end as well
                _make(inner, rng, made)


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0

    def either(self, depth: int) -> _Either:
        if depth > _DEPTH_MAX:
            raise UnknownPattern("it is nested too deeply")
        branches = [self._row(depth)]
        while self._took("|"):
            branches.append(self._row(depth))
        return _Either(tuple(branches))

    def _row(self, depth: int) -> _Row:
        nodes: list[_Node] = []
        if depth == 0:
            self._took("^")
        while self.at < len(self._pattern) and self._pattern[self.at] not in "|)":
            if self._at_end_mark(depth):
                self.at += 1
                break
            nodes.append(self._repeated(self._atom(depth)))
        return _Row(tuple(nodes))

    def _at_end_mark(self, depth: int) -> bool:
        here = self._pattern[self.at : self.at + 2]
        return depth == 0 and here in ("$", "$|")

    def _atom(self, depth: int) -> _Node:
        character = self._next()
        if character == "(":
            return self._group(depth)
        if character == "[":
            return self._class()
        if character == "\\":
            return _Any(self._escape())
        if character == ".":
            return _Any(string.ascii_lowercase)
        if character in "^$*+?{":
            raise UnknownPattern(f"unexpected {character!r} at {self.at - 1}")
        return _Any(character)

    def _group(self, depth: int) -> _Node:
        if self._took("?"):
            named = self._pattern.startswith(("<", "P<"), self.at)
            if named and self._pattern[self.at : self.at + 2] not in ("<=", "<!"):
                end = self._pattern.find(">", self.at)
                self.at = end + 1 if end > 0 else len(self._pattern)
            elif not self._took(":"):
                raise UnknownPattern(f"unknown group at {self.at - 2}")
        inner = self.either(depth + 1)
        if not self._took(")"):
            raise UnknownPattern("a group is not closed")
        return inner

    def _class(self) -> _Any:
        negated = self._took("^")
        members = ""
        while not self._took("]"):
            first = self._member()
            if len(first) == 1 and self._pattern[self.at : self.at + 1] == "-":
                first = self._range(first)
            members += first
        if negated:
            members = "".join(c for c in _PRINTABLE if c not in members)
        if not members:
            raise UnknownPattern("a class has no members")
        return _Any(members)

    def _member(self) -> str:
        character = self._next()
        return self._escape() if character == "\\" else character

    def _range(self, first: str) -> str:
        self.at += 1
        if self._pattern[self.at : self.at + 1] == "]":
            return first + "-"
        last = self._member()
        if len(last) != 1 or last < first:
            raise UnknownPattern(f"bad range at {self.at}")
        return "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 127) + 1)))

    def _escape(self) -> str:
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in "xu":
            digits = self._pattern[self.at : self.at + (2 if character == "x" else 4)]
            self.at += len(digits)
            return _character(digits)
        if character.isalnum():
            raise UnknownPattern(f"unknown escape \\{character}")
        return character

    def _repeated(self, node: _Node) -> _Node:
        bounds = self._bounds()
        if bounds is None:
            return node
        least, most = bounds
        if most < least:
            raise UnknownPattern(f"bad repeat at {self.at}")
        self._took("?")  # lazy or greedy matches the same texts
        return _Repeat(node, least, most)

    def _bounds(self) -> tuple[int, int] | None:
        if self._took("*"):
            return 0, _CHARACTERS_MAX
        if self._took("+"):
            return 1, _CHARACTERS_MAX
        if self._took("?"):
            return 0, 1
        if not self._took("{"):
            return None
        end = self._pattern.find("}", self.at)
        least, comma, most = self._pattern[self.at : max(end, self.at)].partition(",")
        self.at = end + 1
        if end < 0 or not _is_count(least) or (most and not _is_count(most)):
            raise UnknownPattern("a repeat is not closed or not a number")
        if not comma:
            return int(least), int(least)
        return int(least), int(most) if most else max(int(least), _CHARACTERS_MAX)

    def _took(self, character: str) -> bool:
        if self._pattern.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def _next(self) -> str:
        if self.at >= len(self._pattern):
            raise UnknownPattern("it ends too early")
        self.at += 1
        return self._pattern[self.at - 1]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _character(digits: str) -> str:
    try:
        character = chr(int(digits, 16))
    except ValueError:
        raise UnknownPattern(f"bad escape {digits!r}") from None
    if "\ud800" <= character <= "\udfff":
        raise UnknownPattern("half a surrogate pair")
    return character

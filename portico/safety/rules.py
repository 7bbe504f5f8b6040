"""A pack of rules, compiled, and a text read by it: piece by piece, each in linear time.  Pure."""

from collections.abc import Iterable, Iterator

import ahocorasick  # type: ignore[import-not-found]  # ships no types
import re2  # type: ignore[import-untyped]  # ships no types

from portico.canon.moderation import CATEGORIES, DATA_KINDS
from portico.safety.model import Found, Rule
from portico.safety.text import folded, plain, spelt, squeezed

BLOCK_CHARACTERS = 4_096
"""What is read at once, as it came."""
PIECE_CHARACTERS = 8_192
"""The same of what one becomes in ordinary letters, which may be more."""
REACH_CHARACTERS = 512
"""No rule matches more than this, so as much of a piece is read again with the next one."""
_MEMORY_BYTES = 64 << 20
"""Of one set of patterns.  A set that runs out of memory says that nothing matched."""
_WHITE = re2.compile(r"[ \n]")
_START, _END = "\n", " ."
"""Around a text: rules that ask where a sentence begins or ends find it.  `^` and `$` would be true of
any piece."""


class Pack:
    """Raises: ValueError: an id twice, a pattern that RE2 does not take, a rule without either."""

    def __init__(self, name: str, rules: Iterable[Rule]) -> None:
        """name: what answers call it; other rules, or another version of one, are another name."""
        self.name = name
        self.rules = tuple(rules)
        if len({rule.id for rule in self.rules}) != len(self.rules):
            raise ValueError("two rules have one id")
        for rule in self.rules:
            if not rule.pattern and not rule.terms:
                raise ValueError(f"{rule.id}: there is nothing to look for")
        harms = [rule for rule in self.rules if rule.category in CATEGORIES]
        self.categories = tuple(
            name for name in CATEGORIES if any(rule.category == name for rule in harms)
        )
        self.data_kinds = tuple(
            name for name in DATA_KINDS if any(rule.category == name for rule in self.rules)
        )
        self._words = _Patterns(rule for rule in harms if rule.pattern)
        self._terms = _Terms(rule for rule in harms if rule.terms)
        self._data = _Patterns(rule for rule in self.rules if rule.category in DATA_KINDS)

    def read(self, text: str) -> Found:
        """All at once, for whoever has no one to wait for."""
        reading = Reading(self)
        for block in blocks(text):
            reading.feed(block)
        return reading.end()

    def matching(self, piece: str) -> Iterator[Rule]:
        """piece: plain and squeezed.  A rule may come twice."""
        yield from self._data.matching(piece)
        words = folded(piece)
        for view in (words, spelt(words)):
            yield from self._words.matching(view)
            yield from self._terms.matching(view)


def blocks(text: str) -> Iterator[str]:
    """Small ones where a character may stand for many: between two of them others may run."""
    size = BLOCK_CHARACTERS if text.isascii() else BLOCK_CHARACTERS // 8
    for at in range(0, len(text), size):
        yield text[at : at + size]


class Reading:
    """Of one text.  `feed` it blocks, then ask for the `end`."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._held = _START
        self._new = 0
        self._found: dict[str, Rule] = {}
        self.steps = 0
        """So far; see `Found`."""

    def feed(self, block: str) -> None:
        text = plain(block)
        self.steps += len(text)
        for at in range(0, len(text), PIECE_CHARACTERS):
            fed = text[at : at + PIECE_CHARACTERS]
            self._new += len(fed)
            self._held = squeezed(self._held + fed)
            if self._new >= BLOCK_CHARACTERS:
                self._read(_last_gap(self._held))

    def end(self) -> Found:
        self._held = squeezed(self._held + _END)
        self._read(len(self._held))
        order = {rule.id: at for at, rule in enumerate(self._pack.rules)}
        rules = sorted(self._found.values(), key=lambda rule: order[rule.id])
        return Found(tuple(rule.finding() for rule in rules), self.steps)

    def _read(self, upto: int) -> None:
        """The first `upto` characters of what is held; their end is kept for the next piece."""
        piece = self._held[:upto]
        self.steps += len(piece)
        for rule in self._pack.matching(piece):
            self._found.setdefault(rule.id, rule)
        kept = max(upto - REACH_CHARACTERS, 0)
        gap = _WHITE.search(self._held, kept, upto)
        self._held = self._held[gap.start() if gap else kept :]
        self._new = 0


def _last_gap(text: str) -> int:
    """Where to cut, so that no word is cut in two: one without end is, all the same."""
    within = max(len(text) - REACH_CHARACTERS, 0)
    gap = max(text.rfind(" ", within), text.rfind("\n", within))
    return gap if gap > 0 else len(text)


class _Patterns:
    """Patterns read in one pass.  A space in one stands for a line break, too."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        options = re2.Options()
        options.max_mem = _MEMORY_BYTES
        options.log_errors = False
        self._set = re2.Set.SearchSet(options)
        self._one = []
        for rule in self._rules:
            try:
                pattern = rule.pattern.replace(" ", r"\s")
                self._set.Add(pattern)
                self._one.append(re2.compile(pattern, options) if rule.check else None)
            except re2.error as error:
                raise ValueError(f"{rule.id}: RE2 does not take its pattern: {error}") from None
        if self._rules:
            self._set.Compile()

    def matching(self, text: str) -> Iterator[Rule]:
        if not self._rules or not text:
            return
        encoded = text.encode("utf-8", "replace")  # bytes: else each pass encodes it anew
        for at in self._set.Match(encoded) or ():
            rule, one = self._rules[at], self._one[at]
            if rule.check is None or any(
                rule.check(found.group(0).decode("utf-8")) for found in one.finditer(encoded)
            ):
                yield rule


class _Terms:
    """Words and phrases read in one pass, whole ones only."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._automaton = ahocorasick.Automaton()
        for rule in rules:
            for term in rule.terms:
                meant = self._automaton.get(term, ())
                self._automaton.add_word(term, (*meant, (len(term), rule)))
        self._automaton.make_automaton()

    def matching(self, text: str) -> Iterator[Rule]:
        if not len(self._automaton):
            return
        for last, meant in self._automaton.iter(text.replace("\n", " ")):
            for length, rule in meant:
                if _whole(text, last - length + 1, last + 1):
                    yield rule


def _whole(text: str, start: int, end: int) -> bool:
    before = start > 0 and text[start - 1].isalnum()
    after = end < len(text) and text[end].isalnum()
    return not before and not after

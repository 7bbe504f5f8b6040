"""The two ways guards are asked: as moderations, or as a chat that says `safe` or `unsafe`.  Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from portico.canon.moderation import CATEGORIES, Category, Item, Judgement, Scored
from portico.dialects.openai_moderations import upstream
from portico.dialects.openai_moderations.upstream import Unreadable


class Form(Protocol):
    """path: behind `/v1`.  sees: does it take images?"""

    path: str
    sees: bool

    def calls(self, items: Sequence[Item]) -> list[list[int]]:
        """Which of them are asked about together, by their places; those it cannot judge are left
        out."""
        ...

    def body(self, items: Sequence[Item]) -> bytes: ...

    def read(self, said: bytes, items: Sequence[Item]) -> list[Judgement]:
        """One for each item.  Raises: Unreadable."""
        ...


class Moderations:
    """Its own `/v1/moderations`: texts in one call, images only where the operator says it sees."""

    path = "/moderations"

    def __init__(self, model: str, *, sees: bool) -> None:
        self._model = model
        self.sees = sees

    def calls(self, items: Sequence[Item]) -> list[list[int]]:
        able = [
            at
            for at, item in enumerate(items)
            if item.text is not None or (self.sees and item.images)
        ]
        return [able] if able else []

    def body(self, items: Sequence[Item]) -> bytes:
        seen = items if self.sees else [Item(item.path, item.text) for item in items]
        return upstream.body_for(seen, self._model)

    def read(self, said: bytes, items: Sequence[Item]) -> list[Judgement]:
        return upstream.read(said, len(items))


Taxonomy = Mapping[str, tuple[Category, ...]]
"""What a guard's own words mean in ours; () for what has no counterpart, and is only flagged."""

LLAMA_GUARD_3: Taxonomy = {
    "S1": ("illicit", "illicit/violent", "violence"),
    "S2": ("illicit",),
    "S3": ("illicit", "sexual"),
    "S4": ("sexual", "sexual/minors"),
    "S5": (),
    "S6": (),
    "S7": (),
    "S8": (),
    "S9": ("illicit", "illicit/violent"),
    "S10": ("hate",),
    "S11": ("self-harm",),
    "S12": ("sexual",),
    "S13": (),
    "S14": ("illicit",),
}
"""Violent and other crimes, sex crimes, children, defamation, advice, privacy, property, weapons, hate,
suicide, sexual content, elections, code: the hazards of MLCommons, as Llama Guard 3 numbers them."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,31}")
_WORDS_MAX = 32
_OUTPUT_TOKENS_MAX = 64


class _Message(Struct):
    content: str


class _Choice(Struct):
    message: _Message


class _Answer(Struct):
    choices: list[_Choice]


_answer = msgspec.json.Decoder(_Answer)


class SafeOrUnsafe:
    """A chat model that answers `safe`, or `unsafe` and in the next line its categories (Llama Guard and
    its kin; the server writes the prompt with the model's own template).  One text per call."""

    path = "/chat/completions"
    sees = False

    def __init__(self, model: str, taxonomy: Taxonomy = LLAMA_GUARD_3) -> None:
        self._model = model
        self._taxonomy = taxonomy
        self._scores = tuple(
            name for name in CATEGORIES if any(name in meant for meant in taxonomy.values())
        )

    def calls(self, items: Sequence[Item]) -> list[list[int]]:
        return [[at] for at, item in enumerate(items) if item.text is not None]

    def body(self, items: Sequence[Item]) -> bytes:
        (item,) = items
        asked: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": item.text or ""}],
            "temperature": 0,
            "max_tokens": _OUTPUT_TOKENS_MAX,
            "stream": False,
        }
        return msgspec.json.encode(asked)

    def read(self, said: bytes, items: Sequence[Item]) -> list[Judgement]:
        try:
            answer = _answer.decode(said)
        except (ValueError, RecursionError):
            raise Unreadable("it is no chat completion with text") from None
        if len(answer.choices) != 1:
            raise Unreadable(f"{len(answer.choices)} choices, not one")
        verdict, _, rest = answer.choices[0].message.content.strip().partition("\n")
        if verdict.strip().lower() not in ("safe", "unsafe"):
            raise Unreadable("it says neither safe nor unsafe")
        unsafe = verdict.strip().lower() == "unsafe"
        return [self._judgement(unsafe, _words(rest) if unsafe else ())]

    def _judgement(self, unsafe: bool, words: tuple[str, ...]) -> Judgement:
        meant = {name for word in words for name in self._taxonomy.get(word, ())}
        scored = {
            name: Scored(name in meant, float(name in meant), ("text",)) for name in self._scores
        }
        return Judgement(unsafe, scored, guard=words)


def taxonomy_of(lines: Iterable[str]) -> Taxonomy:
    """lines: `S1=violence+illicit`, one for each word of the guard's; nothing behind `=` for what has
    no counterpart.  None of them: Llama Guard 3's.

    Raises: ValueError, in words for the operator.
    """
    found: dict[str, tuple[Category, ...]] = {}
    for line in lines:
        word, equals, names = (part.strip() for part in line.partition("="))
        if not equals or not _WORD.fullmatch(word):
            raise ValueError(f"{line!r} is not like S1=violence+illicit")
        meant = [name.strip() for name in names.split("+") if name.strip()]
        strange = [name for name in meant if name not in CATEGORIES]
        if strange:
            raise ValueError(f"{strange[0]!r} is no category; known: {', '.join(CATEGORIES)}")
        found[word] = tuple(name for name in CATEGORIES if name in meant)
    return found or LLAMA_GUARD_3


def _words(line: str) -> tuple[str, ...]:
    """The guard's own words: shown to a caller, so only what looks like such."""
    words = (word.strip() for word in line.split("\n")[0].split(","))
    return tuple(word for word in words if _WORD.fullmatch(word))[:_WORDS_MAX]

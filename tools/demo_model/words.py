"""Names, cities, numbers and words to draw from, split so that some are never trained on.

A string belongs to one side for ever: by its CRC-32, one in eight is held out. Most strings are
built from syllables, because a model that has seen thousands of invented names learns to copy a
name, and one that has seen fifty learns the fifty.
"""

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Split = Literal["train", "held"]
T = TypeVar("T")


def listed(text: str, mark: str = " ") -> tuple[str, ...]:
    """The words of a list written as one string, which reads better than two hundred quotes."""
    return tuple(text.split(mark))


_ONSETS = listed("b br c ch cl d dr f fl g gr h j k kl l m n p pr qu r s sh sk st t th tr v w y z")
_VOWELS = listed("a e i o u a e i o ai ea ie oo ou")
_CODAS = [*[""] * 12, *listed("l m n r s t nd rk ck x ss ll th")]
_CITY_TAILS = listed("burg ton ville stad haven ford field dorf mouth bury by port wick polis")
_CITY_HEADS = listed("New Port San Saint East Upper Lake Fort")
_GIVEN = listed(
    "Anna Ben Carla David Elena Frank Grace Hugo Ida Jonas Kim Leo Maria Noah Olga Paul Rosa Sam "
    "Tina Umar Vera Wei Yuki Zoe Ali Amara Aiko Bruno Chloe Diego Emma Fatima Gita Hana Ivan Jack "
    "Kofi Lena Mia Nina Omar Priya Raj Sofia Tom Uma Victor Wendy Yara José Zoë Jürgen André Bob "
    "Alice John Jane Mary Peter Lucy Max Laura Ahmed Ravi Mei"
)
_CITIES = (
    *listed(
        "Rome Paris London Berlin Madrid Lisbon Vienna Oslo Prague Dublin Athens Cairo Lagos Nairobi "
        "Tokyo Osaka Seoul Beijing Mumbai Delhi Sydney Perth Toronto Boston Chicago Denver Austin "
        "Lima Quito Bogotá Santiago Zürich Genève Köln Malmö Warsaw Budapest Helsinki Milan Naples "
        "Hamburg Munich Leeds York Bern Riga Kyiv Hanoi Jakarta Dubai Miami Seattle Dallas Accra"
    ),
    "New York",
    "Hong Kong",
    "Los Angeles",
    "San Francisco",
    "Cape Town",
    "Buenos Aires",
)
PLAIN_WORDS = listed(
    "the a one two red blue green small big old new cat dog bird fish tree river house door key "
    "window book letter road garden table chair lamp clock stone cloud rain snow wind fire water "
    "apple bread milk tea sugar runs jumps sleeps sings reads opens closes finds keeps takes gives "
    "makes sees hears wants likes and or but then now here there very quite slowly quickly today "
    "tomorrow under over near after before with without from into this is my test hello world good "
    "morning brown fox lazy over quick I we you they come go stay never always"
)
_ALPHABETS = (
    "äöüßéèñçåø",
    "абвгдежзиклмнопрст",
    "αβγδεζηθικλμνοπ",
    "日本東京大学水火木金",
    "✓★☀☂♥✿→",
)
_CODE_SIGNS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


def is_held(text: str) -> bool:
    """Whether a string is kept out of training."""
    return zlib.crc32(text.lower().encode()) % 8 == 0


@dataclass(frozen=True, slots=True)
class Draw:
    """One source of chance together with the side it draws from."""

    rng: random.Random
    split: Split

    def pick(self, options: Sequence[T]) -> T:
        return options[self.rng.randrange(len(options))]

    def pick_side(self, train: Sequence[T], held: Sequence[T]) -> T:
        """One of two lists by side: the way every template is chosen."""
        return self.pick(train if self.split == "train" else held)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def own(self, make: Callable[[], str]) -> str:
        """The first string of `make` that is on this side."""
        while True:
            text = make()
            if is_held(text) == (self.split == "held"):
                return text

    def _syllables(self, least: int, most: int) -> str:
        count = min(self.rng.randint(least, most), self.rng.randint(least, most))
        parts = (self.pick(_ONSETS) + self.pick(_VOWELS) + self.pick(_CODAS) for _ in range(count))
        return "".join(parts)

    def pseudo_word(self) -> str:
        return self.own(lambda: self._syllables(1, 4))

    def given_name(self) -> str:
        return self.own(
            lambda: self.pick(_GIVEN) if self.chance(0.25) else self._syllables(1, 4).capitalize()
        )

    def person(self) -> str:
        """A given name, often with a family name."""
        return f"{self.given_name()} {self.given_name()}" if self.chance(0.4) else self.given_name()

    def city(self) -> str:
        return self.own(self._any_city)

    def _any_city(self) -> str:
        kind = self.rng.random()
        if kind < 0.25:
            return self.pick(_CITIES)
        name = self._syllables(1, 4).capitalize()
        if kind < 0.45:
            return self._syllables(1, 2).capitalize() + self.pick(_CITY_TAILS)
        return f"{self.pick(_CITY_HEADS)} {name}" if kind < 0.6 else name

    def whole(self, most_digits: int = 6) -> int:
        """A whole number with a varied count of digits, so that length is copied as well."""
        digits = self.rng.randint(1, most_digits)
        return self.rng.randint(10 ** (digits - 1), 10**digits - 1)

    def decimal(self) -> float:
        return round(self.whole(4) + self.rng.randint(1, 99) / 100, 2)

    def code(self) -> str:
        """Something like K7-R20X."""
        return self.own(
            lambda: "-".join(
                "".join(self.pick(_CODE_SIGNS) for _ in range(self.rng.randint(2, 5)))
                for _ in range(self.rng.randint(1, 3))
            )
        )

    def email(self) -> str:
        end = self.pick(("com", "org", "net", "io", "example.com"))
        return f"{self.given_name().lower()}@{self.pseudo_word()}.{end}"

    def foreign(self) -> str:
        """A few letters from other alphabets, which the tokenizer keeps as single bytes."""
        letters = self.pick(_ALPHABETS)
        return "".join(self.pick(letters) for _ in range(self.rng.randint(1, 6)))

    def aside(self, text: str, before: Sequence[str], after: Sequence[str]) -> str:
        """The text with words around it that change nothing, in training only.

        What is asked of the model stays the same, so it learns not to count words from the start.
        """
        if self.split == "train" and self.chance(0.25):
            text = f"{self.pick(before)} {text}"
        if self.split == "train" and text[-1] in ".?!" and self.chance(0.12):
            text = f"{text} {self.pick(after)}"
        return text

    def phrase(self, least: int, most: int) -> str:
        """Real and invented words, numbers and marks, in no order a model could guess."""
        return " ".join(self._phrase_word() for _ in range(self.rng.randint(least, most)))

    def _phrase_word(self) -> str:
        kind = self.rng.random()
        if kind < 0.5:
            return self.pick(PLAIN_WORDS)
        if kind < 0.8:
            return self.pseudo_word()
        if kind < 0.88:
            return str(self.whole())
        if kind < 0.94:
            return self.city()
        return self.code() if kind < 0.97 else self.foreign()

    def topic(self) -> str:
        """What a question may be about: one to three plain or invented words."""
        return " ".join(
            self.pseudo_word() if self.chance(0.5) else self.pick(PLAIN_WORDS)
            for _ in range(self.rng.randint(1, 3))
        )

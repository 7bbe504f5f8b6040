"""Text that means nothing, in any number of tokens."""

from functools import cache
from random import Random

_TEXT = """
    lorem ipsum dolor sit amet elit sed do eiusmod tempor ut labore et dolore magna aliqua enim
    ad minim veniam quis nostrud ullamco laboris nisi aliquip ex ea commodo duis aute irure in
    velit esse cillum eu fugiat nulla pariatur sint occaecat non proident sunt culpa qui officia
    deserunt mollit anim id est laborum curabit vitae justo porta nunc felis augue mauris
"""
_WORDS = tuple(_TEXT.split())
_SENTENCES = 400


@cache
def _book() -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Sentences, token by token, and where each begins.  Built once: an answer is a slice."""
    rng = Random("portico filler")
    tokens: list[str] = []
    starts: list[int] = []
    for _ in range(_SENTENCES):
        starts.append(len(tokens))
        words = rng.choices(_WORDS, k=rng.randint(4, 12))
        tokens.append(" " + words[0].capitalize())
        tokens += [" " + word for word in words[1:]]
        tokens.append(".")
    return tuple(tokens), tuple(starts)


def filler(tokens: int, rng: Random) -> str:
    """Sentences of exactly `tokens` tokens, beginning with a capital."""
    book, starts = _book()
    start = rng.choice(starts)
    first = book[start : start + tokens]
    rounds, rest = divmod(tokens - len(first), len(book))
    return "".join((*first, *(book * rounds), *book[:rest])).removeprefix(" ")


def words(count: int, rng: Random) -> str:
    return " ".join(rng.choices(_WORDS, k=count))


def other_tokens(count: int, rng: Random) -> list[str]:
    """Different tokens that might have stood in some place instead."""
    return [" " + word for word in rng.sample(_WORDS, k=count)]

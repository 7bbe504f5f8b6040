"""No search takes time with the square of what it is given.

`\\d+ tokens`, looked for in a hundred thousand digits, begins at each of them and runs to the end each
time: 44 s, in which nobody else is served.  An engine's error may quote its caller, so such texts come
from anybody.  (What explodes even where it begins once: tests/house/test_unsafe_code.py.)
"""

import ast
import string
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.house.test_unsafe_code import wrong

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_constants as sre
    import sre_parse

SEARCHES = {"search", "findall", "finditer", "sub", "subn", "split"}
NOT_FROM_OUTSIDE = ("portico/billing/fake_stripe/",)
"""A double of somebody else's server, for tests and demonstrations."""
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_NOT_DIGIT: lambda char: not char.isdigit(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    sre.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
    sre.CATEGORY_NOT_WORD: lambda char: not (char.isalnum() or char == "_"),
}
Item = tuple[Any, Any]


def takes(item: Item, char: str) -> bool:
    """May this one item of a pattern stand for `char`?  Of what is no single character: no."""
    op, told = item
    if op is sre.LITERAL:
        return bool(chr(told).lower() == char.lower())
    if op is sre.NOT_LITERAL:
        return bool(chr(told) != char)
    if op is sre.ANY:
        return char != "\n"
    if op is sre.IN:
        negated = told[0][0] is sre.NEGATE
        return negated != any(_in(each, char) for each in told)
    return False


def _in(item: Item, char: str) -> bool:
    op, told = item
    if op is sre.RANGE:
        return bool(told[0] <= ord(char) <= told[1])
    if op is sre.CATEGORY:
        return bool(_CATEGORIES[told](char))
    return op is sre.LITERAL and chr(told) == char


def creeping(pattern: str) -> bool:
    """Is there a repeat without bound that its own beginning fits into, and that may fail at its end?"""
    return any(_creeps(items) for items in _sequences(sre_parse.parse(pattern)))


def _sequences(parsed: Any) -> Iterator[list[Item]]:
    """Every run of items in which one follows the other: groups opened, one for each choice."""
    items = list(_opened(parsed))
    for at, (op, told) in enumerate(items):
        if op is sre.BRANCH:
            for choice in told[1]:
                yield from _sequences([*items[:at], *choice, *items[at + 1 :]])
            return
        if op in (sre.ASSERT, sre.ASSERT_NOT) and told[0] > 0:
            # What stands before it, once more: it looks on from there.
            yield from _sequences([*items[:at], *told[1]])
    yield items


def _opened(parsed: Any) -> Iterator[Item]:
    for op, told in parsed:
        if op is sre.SUBPATTERN:
            yield from _opened(told[3])
        else:
            yield op, told


def _creeps(items: Sequence[Item]) -> bool:
    for at, (op, told) in enumerate(items):
        if op not in (sre.MAX_REPEAT, sre.MIN_REPEAT) or told[1] != sre.MAXREPEAT:
            continue
        body = list(told[2])
        if len(body) == 1 and _required(items[at + 1 :]) and _fits(items[:at], body[0]):
            return True
    return False


def _required(after: Sequence[Item]) -> bool:
    return any(
        not (op in (sre.MAX_REPEAT, sre.MIN_REPEAT) and told[0] == 0) and op is not sre.ASSERT_NOT
        for op, told in after
    )


def _fits(before: Sequence[Item], repeated: Item) -> bool:
    """Can what comes first be read as a part of the repeat?  Nothing can where it is anchored."""
    for op, told in before:
        if op is sre.AT and told is not sre.AT_BOUNDARY:
            return False
        if op in (sre.ASSERT, sre.ASSERT_NOT) and told[0] < 0:
            return False
        if op in (sre.AT, sre.ASSERT, sre.ASSERT_NOT, sre.GROUPREF):
            continue
        inner = told[2][0] if op in (sre.MAX_REPEAT, sre.MIN_REPEAT) else (op, told)
        least = told[0] if op in (sre.MAX_REPEAT, sre.MIN_REPEAT) else 1
        both = any(takes(inner, char) and takes(repeated, char) for char in string.printable)
        if least and not both:
            return False
    return True


def searched(tree: ast.AST) -> Iterator[str]:
    """Patterns that are looked for anywhere in a text."""
    named: dict[str, str] = {}
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            pattern = _pattern(node.value)
            if pattern is not None and isinstance(node.targets[0], ast.Name):
                named[node.targets[0].id] = pattern
        elif isinstance(node, ast.Attribute) and node.attr in SEARCHES:
            used.add(ast.unparse(node.value))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"re.{n}" for n in SEARCHES}:
            pattern = _pattern(node)
            if pattern is not None:
                yield pattern
    yield from (pattern for name, pattern in named.items() if name in used)


def _pattern(call: ast.Call) -> str | None:
    if not ast.unparse(call.func).startswith("re.") or not call.args:
        return None
    first = call.args[0]
    value = first.value if isinstance(first, ast.Constant) else None
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else None


def test_no_search_creeps() -> None:
    assert wrong(lambda tree: filter(creeping, searched(tree)), but=NOT_FROM_OUTSIDE) == {}


@pytest.mark.parametrize(
    "pattern",
    [r"(\d+) (?:input )?tokens", r"\[([^\]]*)\]", r"[^@]+@[^@]+", r"\beyJ(?=[\w\-]{8,}\.)",
     r"x*y", r"a\s+b|\s+$", r"\w+\s*=", r"(?:(a|\d+)) tokens", r"(q|(?:\bk(?=[a-z]+;)))x"],
)  # fmt: skip
def test_what_creeps_is_found(pattern: str) -> None:
    assert creeping(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"(?<!\d)(\d{1,12}) tokens", r"(?<!\d)\d+ tokens", r"\d{3,}", r"^\s*a", r"a[^b]*", r'"[^"]*"',
     r"eyJ(?=[\w\-]{8})", r"Bearer\s+x"],
)  # fmt: skip
def test_what_does_not_is_let_pass(pattern: str) -> None:
    assert not creeping(pattern)

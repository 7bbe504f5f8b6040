"""A text is read in time that grows with its length and nothing else, wherever it is cut."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.moderation import CATEGORIES
from portico.safety import rules, text
from portico.safety.model import Rule
from portico.safety.pack import RULES, pack
from portico.safety.rules import (
    BLOCK_CHARACTERS,
    PIECE_CHARACTERS,
    REACH_CHARACTERS,
    Reading,
)

PACK = pack()
EXAMPLES = [(rule, example) for rule in RULES for example in rule.matches]
WIDEST = 18
"""Letters that one compatibility form stands for, at most (U+FDFA)."""
STEPS_PER_CHARACTER = WIDEST * 2 * (1 + 2 * REACH_CHARACTERS / BLOCK_CHARACTERS) + 1
STEPS_FOR_A_TEXT = 2 * REACH_CHARACTERS


def found(text: str) -> set[str]:
    return {finding.rule for finding in PACK.read(text).findings}


def in_blocks(said: str, at: list[int]) -> set[str]:
    reading = Reading(PACK)
    for start, end in zip([0, *at], [*at, len(said)], strict=True):
        reading.feed(said[start:end])
    return {finding.rule for finding in reading.end().findings}


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=lambda value: getattr(value, "id", ""))
def test_an_example_is_found_wherever_a_block_ends_in_it(rule: Rule, example: str) -> None:
    for cut in range(len(example) + 1):
        assert in_blocks(example, [cut]) == found(example), cut


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=lambda value: getattr(value, "id", ""))
def test_an_example_is_found_wherever_a_piece_ends_in_it(rule: Rule, example: str) -> None:
    """Deep in a long text, at every place around the end of what is read at once."""
    for shift in range(-len(example) - 2, 3, max(1, len(example) // 12)):
        before = "word " * (BLOCK_CHARACTERS // 5 + 2)
        before = before[: BLOCK_CHARACTERS + shift - 2] + ". "
        assert rule.id in found(before + example + ". " + "word " * 100)


@given(
    st.sampled_from(EXAMPLES), st.integers(0, 3 * BLOCK_CHARACTERS), st.sampled_from("x \u200b\n")
)
@settings(max_examples=60, deadline=None)
def test_an_example_is_found_behind_anything(
    example: tuple[Rule, str], many: int, sign: str
) -> None:
    rule, said = example
    assert rule.id in found(sign * many + " . " + said)


@given(st.sampled_from([e for e in EXAMPLES if e[0].category in CATEGORIES]), st.data())
@settings(max_examples=30, deadline=None)
def test_more_of_nothing_than_a_piece_holds_hides_nothing(
    example: tuple[Rule, str], data: st.DataObject
) -> None:
    rule, said = example
    place = data.draw(st.integers(0, len(said)))
    hidden = said[:place] + "\u200b" * (3 * PIECE_CHARACTERS) + said[place:]
    assert rule.id in found(hidden)


HOSTILE = [
    "a",
    " ",
    "\ufdfa",
    "\u200b",
    "\u0301",
    "4111 ",
    "4",
    "k.",
    "a1",
    "i will ",
    "you ",
    "@a.",
    "1.1.1.1.",
    "-",
    "eyJ",
    "DE89 ",
    "how to make a ",
    "\x00",
    "İ",
    "ß",
]


@given(st.lists(st.tuples(st.sampled_from(HOSTILE), st.integers(1, 6_000)), max_size=4), st.text())
@settings(max_examples=60, deadline=None)
def test_work_grows_with_the_length_and_nothing_else(
    parts: list[tuple[str, int]], rest: str
) -> None:
    """Steps, not time: every character that any pass was given is counted."""
    said = "".join(part * many for part, many in parts) + rest
    assert PACK.read(said).steps <= STEPS_PER_CHARACTER * len(said) + STEPS_FOR_A_TEXT


def test_the_steps_are_those_that_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted is what the passes are given, so the law above is about the work."""
    given_to: list[int] = []

    class Counted(rules.Pack):
        def matching(self, piece: str) -> Any:
            given_to.append(len(piece))
            return super().matching(piece)

    plain = text.plain

    def counted(block: str) -> str:
        made = plain(block)
        given_to.append(len(made))
        return made

    monkeypatch.setattr(rules, "plain", counted)
    said = "I \ufdfa will not. " * 5_000
    assert Counted("x", RULES).read(said).steps == sum(given_to) > 10 * len(said) / 4


@pytest.mark.parametrize("seed", range(3))
def test_a_set_of_patterns_never_gives_up(seed: int) -> None:
    """RE2 says "nothing" for a set that runs out of memory: then an example beside enough hostile text
    would be missed that is found without it."""
    chance = random.Random(seed)
    for rule, example in chance.sample(EXAMPLES, 12):
        noise = "".join(chance.choice(HOSTILE[2:]) * chance.randint(1, 40) for _ in range(300))
        assert rule.id in found(f"{noise} . {example} . {noise}")


def test_no_piece_is_larger_than_it_may_be() -> None:
    sizes: list[int] = []

    class Measured(rules.Pack):
        def matching(self, piece: str) -> Any:
            sizes.append(len(piece))
            return super().matching(piece)

    Measured("x", RULES).read("\ufdfa" * 20_000 + "x" * 50_000)
    assert max(sizes) <= PIECE_CHARACTERS + BLOCK_CHARACTERS + REACH_CHARACTERS


def test_a_text_of_nothing_says_nothing() -> None:
    for said in ("", " ", "\u200b" * 9_000, "\n" * 9_000):
        assert found(said) == set()


PASSES = [(rule, example) for rule in RULES for example in rule.passes]


@pytest.mark.parametrize(("rule", "example"), PASSES, ids=lambda value: getattr(value, "id", ""))
def test_what_must_pass_does_wherever_a_piece_ends_in_it(rule: Rule, example: str) -> None:
    """No word is cut in two, of which one half would be another word."""
    for shift in range(-len(example) - 1, 2, max(1, len(example) // 12)):
        before = ("word " * (BLOCK_CHARACTERS // 5 + 2))[: BLOCK_CHARACTERS + shift - 2] + ". "
        assert rule.id not in found(before + example + ". " + "word " * 100)


IMPERATIVES = [(rule, example) for rule, example in PASSES if r"[.!?,;:\"\n]" in rule.pattern]


@pytest.mark.parametrize(
    ("rule", "example"), IMPERATIVES, ids=lambda value: getattr(value, "id", "")
)
def test_where_a_piece_begins_no_sentence_does(rule: Rule, example: str) -> None:
    for shift in range(-len(example) - 1, 2):
        at = BLOCK_CHARACTERS - REACH_CHARACTERS + shift
        before = ("word " * (BLOCK_CHARACTERS // 5))[: at - 2] + ". "
        assert rule.id not in found(before + example + ". " + "word " * REACH_CHARACTERS)


def test_white_space_hides_nothing_deep_in_a_text() -> None:
    around = "word " * BLOCK_CHARACTERS
    assert found(f"{around}I  \n will\n\nkill \t you. {around}") == {"harassment/threat"}
    assert found(f"{around}I{' ' * 3 * PIECE_CHARACTERS}will kill you. {around}") == {
        "harassment/threat"
    }

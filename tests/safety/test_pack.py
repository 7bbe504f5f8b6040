"""Every rule does what its examples say, however they are written, and is as bounded as it must be."""

import unicodedata
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.callers.rules import new_key
from portico.canon.moderation import CATEGORIES, DATA_KINDS
from portico.safety.model import Rule
from portico.safety.pack import NAME, RULES, pack
from portico.safety.rules import REACH_CHARACTERS, Pack
from portico.safety.text import folded, plain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_parse

DOCS = Path(__file__).parents[2] / "docs"
PACK = pack()
HARMS = [rule for rule in RULES if rule.category in CATEGORIES]
EXAMPLES = [(rule, text) for rule in RULES for text in rule.matches]
HARMFUL = [(rule, text) for rule, text in EXAMPLES if rule in HARMS]


def found(text: str) -> set[str]:
    return {finding.rule for finding in PACK.read(text).findings}


def by_id(value: object) -> str:
    return value.id if isinstance(value, Rule) else ""


@pytest.mark.parametrize(("rule", "text"), EXAMPLES, ids=by_id)
def test_what_must_match_does_and_nothing_else_does(rule: Rule, text: str) -> None:
    assert found(text) == {rule.id}


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule in RULES for text in rule.passes], ids=by_id
)
def test_what_must_pass_does(rule: Rule, text: str) -> None:
    assert rule.id not in found(text)


def test_our_own_keys_are_secrets_and_what_only_looks_like_one_is_not() -> None:
    key = new_key("live")
    assert found(f"Use {key}, it works.") == {"secrets/portico-key"}
    assert found(f"Use {key[:-1]}{'0' if key[-1] != '0' else '1'}, it works.") == set()


@pytest.mark.parametrize("rule", RULES, ids=by_id)
def test_a_rule_says_what_it_is(rule: Rule) -> None:
    area = rule.category.partition("/")[0].replace("_", "-")
    assert rule.id.startswith(f"{area}/")
    assert rule.version >= 1
    assert bool(rule.pattern) != bool(rule.terms)
    assert not {"^", "$"} & set(rule.pattern.replace("[^", "[")), "true of any piece"
    assert len(rule.matches) >= 2 or rule.id == "secrets/portico-key"  # a real one is made above
    assert len(rule.passes) >= 2
    assert bool(rule.languages) == (rule.category in CATEGORIES)


@pytest.mark.parametrize("rule", RULES, ids=by_id)
def test_no_rule_reaches_further_than_a_piece_remembers(rule: Rule) -> None:
    longest = sre_parse.parse(rule.pattern).getwidth()[1] if rule.pattern else 0
    longest = max([longest, *map(len, rule.terms)])
    assert 0 < longest < REACH_CHARACTERS


@pytest.mark.parametrize("rule", [rule for rule in HARMS if rule.terms], ids=by_id)
def test_terms_are_written_as_they_are_read(rule: Rule) -> None:
    assert all(folded(plain(term)) == term for term in rule.terms)


def test_the_pack_names_what_it_scores_and_leaves_the_rest_to_others() -> None:
    assert PACK.name == NAME
    assert set(CATEGORIES) - set(PACK.categories) == {
        *("sexual", "sexual/minors", "violence", "violence/graphic")
    }
    assert PACK.data_kinds == DATA_KINDS


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([RULES[0], RULES[0]], "one id"),
        ([Rule("x/y", 1, "hate", "clear", (), (), pattern=r"(?=x)")], "RE2 does not take"),
        ([Rule("x/y", 1, "hate", "clear", (), ())], "nothing to look for"),
    ],
)
def test_a_pack_that_cannot_be_is_refused(rules: list[Rule], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Pack("x", rules)


# --- however it is written ------------------------------------------------------------------


INVISIBLE = ["\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\u034f", "\u0301", "\ufe0f", "\x00"]
GAPS = ["\n", "\t", "  ", "\u00a0", "\u2003", " \r\n "]
LOOKALIKES = {"a": "а", "e": "е", "o": "ο", "c": "с", "p": "р", "x": "х", "y": "у", "i": "і"}


@given(st.sampled_from(HARMFUL), st.data())
@settings(max_examples=150, deadline=None)
def test_marks_and_characters_of_no_width_hide_nothing(
    example: tuple[Rule, str], data: st.DataObject
) -> None:
    rule, text = example
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    for place in sorted(at, reverse=True):
        text = text[:place] + data.draw(st.sampled_from(INVISIBLE)) * 3 + text[place:]
    assert rule.id in found(text)


@given(st.sampled_from(HARMFUL), st.sampled_from(GAPS))
@settings(max_examples=80, deadline=None)
def test_white_space_hides_nothing(example: tuple[Rule, str], gap: str) -> None:
    rule, text = example
    assert rule.id in found(text.replace(" ", gap))


@given(st.sampled_from(HARMFUL), st.sets(st.sampled_from(sorted(LOOKALIKES))))
@settings(max_examples=80, deadline=None)
def test_letters_of_other_scripts_hide_nothing(
    example: tuple[Rule, str], swapped: set[str]
) -> None:
    rule, text = example
    text = "".join(LOOKALIKES[sign] if sign in swapped else sign for sign in text)
    assert rule.id in found(text)


@given(st.sampled_from(HARMFUL), st.sampled_from([0xFEE0, "bold"]))
@settings(max_examples=80, deadline=None)
def test_full_width_and_mathematical_letters_hide_nothing(
    example: tuple[Rule, str], how: int | str
) -> None:
    rule, text = example
    if isinstance(how, int):
        written = "".join(chr(ord(s) + how) if "!" <= s <= "~" else s for s in text)
    else:
        written = "".join(chr(0x1D41A + ord(s) - 97) if "a" <= s <= "z" else s for s in text)
    assert rule.id in found(written)


@given(st.sampled_from(HARMFUL))
@settings(max_examples=60, deadline=None)
def test_case_and_composed_marks_hide_nothing(example: tuple[Rule, str]) -> None:
    rule, text = example
    assert rule.id in found(text.upper())
    assert rule.id in found(unicodedata.normalize("NFD", text))


def test_a_line_begins_a_sentence() -> None:
    assert found("Hello\nkill yourself\nBye") == {"harassment/wished-dead"}
    assert found("They said to\u2028 kill all women") == {"hate/called-for"}
    assert found("They said to kill all women") == set()


def test_digits_and_dots_in_words_hide_nothing() -> None:
    assert found("i w1ll k1ll y0u") == {"harassment/threat"}
    assert found("I will k.i.l.l you") == {"harassment/threat"}
    assert found("I will k-i-l-l you") == {"harassment/threat"}


def test_the_documents_of_this_project_are_harmless() -> None:
    """What people write about their work, paragraph by paragraph, but for the page about the rules."""
    pages = [page for page in DOCS.rglob("*.md") if page.stem != "moderations"]
    paragraphs = [part for page in pages for part in page.read_text().split("\n\n")]
    assert len(paragraphs) > 1_000
    harms = {rule.id for rule in HARMS}
    assert [part for part in paragraphs if harms & found(part)] == []

"""What a key looks like, and what is no key at all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.callers.model import KeyKind
from portico.callers.rules import BASE62, KEY_PATTERN, digest, kind_of, new_key

KINDS: st.SearchStrategy[KeyKind] = st.sampled_from(["live", "test", "admin", "ephemeral"])


@given(KINDS)
def test_a_new_key_is_well_formed(kind: KeyKind) -> None:
    key = new_key(kind)
    assert kind_of(key) == kind
    assert re.fullmatch(KEY_PATTERN, key)
    assert len(key) == len(f"pk_{kind}_") + 37 + 6


@given(KINDS, st.integers(0, 50), st.characters())
def test_any_one_changed_character_is_caught(kind: KeyKind, place: int, character: str) -> None:
    key = new_key(kind)
    changed = key[:place] + character + key[place + 1 :]
    assert changed == key or kind_of(changed) is None


def test_every_change_of_one_character_to_another_of_the_alphabet_is_caught() -> None:
    key = new_key("live")
    for place in range(len(key)):
        for character in BASE62:
            changed = key[:place] + character + key[place + 1 :]
            assert changed == key or kind_of(changed) is None


@given(KINDS, st.integers(8, 49))
def test_two_neighbours_that_changed_places_are_caught(kind: KeyKind, place: int) -> None:
    key = new_key(kind)
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert swapped == key or kind_of(swapped) is None


@given(st.text())
def test_anything_may_be_asked(credential: str) -> None:
    assert kind_of(credential) is None


@pytest.mark.parametrize("key", ["", "pk_live_", " {}", "{}\n", "{}x", "PK{}", "{}\0"])
def test_nearly_a_key_is_none(key: str) -> None:
    assert kind_of(key.format(new_key("live"))) is None


def test_a_thousand_keys_are_a_thousand_keys() -> None:
    assert len({new_key("live") for _ in range(1_000)}) == 1_000


def test_the_digest_depends_on_the_pepper() -> None:
    key = new_key("live")
    assert digest(b"a" * 32, key) == digest(b"a" * 32, key)
    assert digest(b"a" * 32, key) != digest(b"b" * 32, key)
    assert len(digest(b"a" * 32, key)) == 32

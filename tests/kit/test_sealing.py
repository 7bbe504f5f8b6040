"""What is sealed here opens here, for its purpose, unchanged, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.kit.sealing import Seal

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


@given(st.text(st.characters(exclude_categories=())))
def test_it_opens_again(text: str) -> None:
    sealed = Seal([NEW]).close(text, "a")
    assert sealed.isascii()
    assert Seal([NEW]).open(sealed, "a") == text


def test_a_replaced_secret_still_opens() -> None:
    sealed = Seal([OLD]).close("hello", "a")
    assert Seal([OLD, NEW]).open(sealed, "a") == "hello"
    assert Seal([NEW]).open(Seal([OLD, NEW]).close("hello", "a"), "a") == "hello"


def test_nobody_else_opens_it() -> None:
    sealed = Seal([NEW]).close("hello", "a")
    assert "hello" not in sealed
    assert Seal([OTHER]).open(sealed, "a") is None
    assert Seal([NEW]).open(sealed, "b") is None


@pytest.mark.parametrize("at", range(4, 40, 3))
def test_a_changed_one_does_not_open(at: int) -> None:
    sealed = Seal([NEW]).close("hello there", "a")
    other = "A" if sealed[at] != "A" else "B"
    assert Seal([NEW]).open(sealed[:at] + other + sealed[at + 1 :], "a") is None


@pytest.mark.parametrize("text", ["", "pt1.", "pt1.AAAA", "pt1.é", "EqQBCgIYAhIM1gbcDa", "pt1.A"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    assert Seal([NEW]).open(text, "a") is None


def test_it_opens_for_its_owner_alone() -> None:
    seal = Seal([NEW])
    sealed = seal.close("hello", "a", "proj_a")
    assert seal.open(sealed, "a", "proj_a") == "hello"
    assert seal.open(sealed, "a", "proj_b") is None
    assert seal.open(sealed, "a") is None
    assert seal.open(seal.close("hello", "a"), "a", "proj_a") is None
    assert seal.open(seal.close("hello", "aproj_a"), "a", "proj_a") is None

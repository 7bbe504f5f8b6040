"""The pepper is made once, kept from others, and missed loudly."""

import os
from pathlib import Path

import pytest

from portico.callers.pepper import FILE_NAME, PepperLost, make_pepper, read_peppers


def test_it_is_made_once_for_the_owners_eyes_only(tmp_path: Path) -> None:
    make_pepper(tmp_path)
    (first,) = read_peppers(tmp_path)
    make_pepper(tmp_path)
    assert read_peppers(tmp_path) == (first,)
    assert len(first.secret) == 32
    assert os.stat(tmp_path / FILE_NAME).st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_last_line_is_for_new_keys(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(f"p1 {'aa' * 32}\np2 {'bb' * 32}\n")
    assert [pepper.id for pepper in read_peppers(tmp_path)] == ["p1", "p2"]


def test_the_secret_is_not_shown_by_accident(tmp_path: Path) -> None:
    make_pepper(tmp_path)
    peppers = read_peppers(tmp_path)
    assert peppers[0].secret.hex() not in repr(peppers)
    assert repr(peppers[0].secret) not in repr(peppers)


@pytest.mark.parametrize("text", ["", "\n", "p1", "p1 zz", "p1 aa", "p1 aa bb", "\N{SNOWMAN}"])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, "utf-8")
    with pytest.raises(PepperLost, match="backup"):
        read_peppers(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PepperLost, match="backup"):
        read_peppers(tmp_path)

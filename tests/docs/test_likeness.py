"""What counts as the same, and what does not: a page test that sees no difference proves nothing."""

import pytest

from tests.docs.blocks import ROOT, blocks_of
from tests.docs.likeness import Words
from tests.docs.test_pages import PAGES

KEY = "pk_live_2Mnbk4kJ6l29P5wvs40JWNlZRvflnJL7mqCog3dqI30"
ID = "key_7b7ec899d50320350e3105b84efb94f8"


@pytest.mark.parametrize(
    ("page", "run"),
    [
        ("API key  pk_live_X0YE…qoc  (safe)", f"API key  {KEY}  (safe)"),
        ("ready at http://127.0.0.1:8080/v1 (629 ms)", "ready at http://127.0.0.1:43817/v1 (7 ms)"),
        ("key_7b7e8899…  laptop", f"{ID}   laptop"),
        ("2026-11-21 01:32  active", "2027-01-01 23:59  active"),
        ("first\n…\nlast", "first\nsome\nmore\nlast"),
        ("first\n…\nlast", "first\nlast"),
        ("83.2 GB free", "9 GB free"),
        ("one", "\x1b[1mone\x1b[0m  \n"),
    ],
)
def test_what_no_two_runs_share_may_differ(page: str, run: str) -> None:
    assert Words().difference(page, run) == ""


@pytest.mark.parametrize(
    ("page", "run"),
    [
        ("one", "two"),
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("12 tokens in", "13 tokens in"),
        ("pk_live_X0YE…qoc", KEY.replace("live", "test")),
        ("first\n…\nlast", "first\nmore"),
        ("portico-demo  1  12", "portico-demo  1  13"),
        ("", "something"),
    ],
)
def test_anything_else_is_a_difference(page: str, run: str) -> None:
    assert Words().difference(page, run)


def test_words_are_carried_to_the_next_command() -> None:
    words = Words()
    assert words.difference("key_7b7ec899…  laptop", f"{ID}  laptop") == ""
    assert words.in_this_run("portico key revoke key_7b7ec899…") == f"portico key revoke {ID}"


def test_no_block_is_overlooked() -> None:
    for page in PAGES:
        fences = [line for line in page.read_text().splitlines() if line.startswith("```")]
        assert len(fences) == 2 * len(blocks_of(page)), page.relative_to(ROOT)

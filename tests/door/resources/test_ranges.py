"""Which bytes of a file a request asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.door.resources.ranges import etag_of, line_of, part_of
from portico.errors import Refusal

ETAG = etag_of("file_1")


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=2-4", range(2, 5)),
        ("bytes=7-", range(7, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("bytes=2-99", range(2, 10)),
        ("bytes= 2-4", range(2, 5)),
    ],
)
def test_a_part_is_what_was_asked_for_as_far_as_it_is_there(wanted: str, part: range) -> None:
    assert part_of(wanted, "", ETAG, 10) == part


@pytest.mark.parametrize(
    "wanted",
    ["", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=0-1x"],
)
def test_what_is_no_range_that_is_known_here_is_all_of_it(wanted: str) -> None:
    assert part_of(wanted, "", ETAG, 10) is None


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_416_behind_the_end(wanted: str) -> None:
    with pytest.raises(Refusal) as refused:
        part_of(wanted, "", ETAG, 10)
    assert (refused.value.code, refused.value.status) == ("range_not_satisfiable", 416)
    assert refused.value.lines == b"content-range: bytes */10\r\n"


def test_of_another_file_than_the_one_begun_all_is_sent() -> None:
    assert part_of("bytes=2-4", ETAG, ETAG, 10) == range(2, 5)
    for other in (etag_of("file_2"), f"W/{ETAG}", "Sat, 21 Nov 2026 18:28:41 GMT"):
        assert part_of("bytes=2-4", other, ETAG, 10) is None


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 25))
def test_a_part_lies_in_the_file_and_says_so(first: int, last: int, size: int) -> None:
    try:
        part = part_of(f"bytes={first}-{last}", "", ETAG, size)
    except Refusal:
        assert first >= size
        return
    if part is None:
        assert last < first
        return
    assert 0 <= part.start < part.stop <= size
    assert line_of(part, size) == b"content-range: bytes %d-%d/%d\r\n" % (
        part.start,
        part.stop - 1,
        size,
    )

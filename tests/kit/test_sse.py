"""Server-sent events: any framing, any split, the same events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from portico.kit.sse import PING, Event, EventReader, EventTooLarge, frame


def read(data: bytes, *cuts: int) -> list[Event]:
    reader = EventReader()
    found: list[Event] = []
    start = 0
    for cut in sorted(cuts):
        found += reader.feed(data[start:cut])
        start = cut
    return found + reader.feed(data[start:]) + reader.finish()


ODD = st.lists(
    st.sampled_from(
        b"data: a|data:b|data|data:|event: e|: c|id: 1|x|\xff|\n|\r|\r\n|\n\n|\xef\xbb\xbf|"
        b"data: \xc3\xa9\xf0\x9f\x99\x82".split(b"|")
    ),
    max_size=30,
).map(b"".join)


@given(ODD, st.lists(st.integers(0, 200), max_size=12))
@settings(deadline=None, max_examples=400)
def test_any_split_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    assert read(data, *(cut for cut in cuts if cut <= len(data))) == read(data)


@given(ODD)
@settings(deadline=None)
def test_byte_by_byte_too(data: bytes) -> None:
    assert read(data, *range(len(data))) == read(data)


PAYLOADS = st.lists(
    st.binary(min_size=1, max_size=40).filter(lambda b: not set(b) & set(b"\r\n")), max_size=8
)


@given(PAYLOADS)
@settings(deadline=None)
def test_what_we_frame_is_read_back(payloads: list[bytes]) -> None:
    stream = b"".join(frame(payload) + PING for payload in payloads)
    assert read(stream) == [Event(b"", payload) for payload in payloads]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_every_line_end(end: bytes) -> None:
    lines = [b"event: e", b"data: one", b"data: two", b"", b": comment", b"data:three", b"", b""]
    assert read(end.join(lines)) == snapshot(
        [Event(name=b"e", data=b"one\ntwo"), Event(name=b"", data=b"three")]
    )


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a", [b"a"]),  # the last blank line is missing
        (b"data:  a\n\n", [b" a"]),  # one space belongs to the frame, the next does not
        (b"data:\n\ndata: \n\n", []),
        (b"id: 7\nretry: 9\n\n", []),
        (b"data: \xff\xfe\n\n", [b"\xff\xfe"]),
        (b"", []),
    ],
)
def test_odd_streams(stream: bytes, events: list[bytes]) -> None:
    assert [event.data for event in read(stream)] == events


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: xxxx\n" * 60])
def test_an_event_without_an_end_is_given_up(stream: bytes) -> None:
    reader = EventReader(event_bytes_max=100)
    reader.feed(stream[:90])
    with pytest.raises(EventTooLarge):
        reader.feed(stream[90:])


def test_the_limit_is_per_event() -> None:
    reader = EventReader(event_bytes_max=100)
    assert len(reader.feed(frame(b"x" * 90) * 50)) == 50

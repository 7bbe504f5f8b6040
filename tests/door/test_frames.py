"""Frames, without a socket: cut anywhere they are the same messages, and nothing makes them crash."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from portico.door.sockets.framed import events_in
from portico.door.sockets.frames import Frames
from tests.door.hall import frame

SIZE_MAX = 10_000
TEXTS = st.lists(st.text(max_size=300), max_size=6)


@st.composite
def written(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Messages, and how some client wrote them: in parts, with control frames in between."""
    messages = [text.encode() for text in draw(TEXTS)]
    wire = []
    for message in messages:
        cuts = sorted(draw(st.lists(st.integers(0, len(message)), max_size=4)))
        bounds = [0, *cuts, len(message)]
        for at, (start, end) in enumerate(pairwise(bounds)):
            last = at == len(bounds) - 2
            wire.append(frame(message[start:end], opcode=0 if at else 1, fin=last))
            wire.append(frame(draw(st.binary(max_size=125)), opcode=draw(st.sampled_from((9, 10)))))
    return messages, b"".join(wire)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found = []
    for size in sizes:
        found.append(data[:size])
        data = data[size:]
    return [piece for piece in (*found, data) if piece]


SIZES = st.lists(st.integers(1, 60), max_size=60)


@settings(deadline=None, max_examples=50)
@given(written(), SIZES)
def test_cut_anywhere_they_are_the_same_messages(
    said: tuple[list[bytes], bytes], sizes: list[int]
) -> None:
    messages, data = said
    frames = Frames(SIZE_MAX)
    heard = [message for piece in pieces(data, sizes) for message in frames.take(piece)]
    assert heard == messages
    assert not frames.over
    assert frames.held_bytes == 0


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=400), SIZES)
def test_any_bytes_are_messages_or_an_end(data: bytes, sizes: list[int]) -> None:
    frames = Frames(SIZE_MAX)
    for piece in pieces(data, sizes):
        for message in frames.take(piece):
            message.decode()
        assert frames.held_bytes <= SIZE_MAX + 14
    frames.text(b"{}")
    frames.ping()
    frames.close(1000, "x" * 200)
    said = frames.said()
    assert frames.over
    assert b"\x88" in said
    frames.text(b"too late")
    assert frames.said() == b""


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200), written(), SIZES)
def test_whatever_follows_an_end_is_thrown_away(
    junk: bytes, said: tuple[list[bytes], bytes], sizes: list[int]
) -> None:
    frames = Frames(SIZE_MAX)
    assert frames.take(frame(b"\x03\xe8", opcode=8)) == []
    assert frames.over
    for piece in pieces(said[1] + junk, sizes):
        assert frames.take(piece) == []
    assert frames.held_bytes == 0


def test_events_of_a_stream_are_their_json() -> None:
    stream = (
        b': ping\n\nevent: a\ndata: {"type":"a"}\n\ndata:{"b":\ndata: 1}\n\n'
        b"data: [DONE]\n\n: portico-cost-nano-usd 7\n\n"
    )
    assert list(events_in(stream)) == [b'{"type":"a"}', b'{"b":\n1}']

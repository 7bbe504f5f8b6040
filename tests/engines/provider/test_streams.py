"""Streams of the three providers: what they mean, however they are cut, and what passes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.outbound.stream import ProviderStream
from portico.engines.provider.outbound import OUTBOUND, ProviderKind
from tests.engines.transport.upstream import cut

from .asking import without_ids
from .providers import (
    KINDS,
    PROVIDERS,
    bare,
    begun,
    block,
    called,
    chunk,
    completed,
    message_end,
    message_start,
    named,
    spoken,
    text_block,
    tool_use,
)


def reader(kind: ProviderKind, *, through: bool = False) -> ProviderStream:
    return OUTBOUND[kind].stream(through, lambda call_id, signature: None)


def read(kind: ProviderKind, stream: bytes, *at: int, through: bool = False) -> list[Delta]:
    """Everything that the stream gives, cut at `at`."""
    reading = reader(kind, through=through)
    deltas = [reading.feed(piece) for piece in cut(stream, list(at))]
    return [delta for delta in (*deltas, reading.finish()) if delta is not None]


def events_of(deltas: list[Delta]) -> tuple[Event, ...]:
    return tuple(event for delta in deltas for event in delta.events)


def test_a_stream_becomes_events_and_usage(kind: ProviderKind) -> None:
    known = PROVIDERS[kind]
    deltas = read(kind, known.stream)
    assert without_ids(events_of(deltas), known.events) == known.events
    assert [delta.meters for delta in deltas if delta.meters][-1] == known.meters
    assert [delta.last for delta in deltas] == [False] * (len(deltas) - 1) + [True]
    assert deltas[-1].finish == "tool_calls"


def test_a_stream_split_at_every_byte_boundary_gives_the_same(kind: ProviderKind) -> None:
    known = PROVIDERS[kind]
    for at in range(1, len(known.stream)):
        deltas = read(kind, known.stream, at)
        assert without_ids(events_of(deltas), known.events) == known.events
        assert [delta.meters for delta in deltas if delta.meters][-1] == known.meters
        assert [delta.last for delta in deltas].count(True) == 1


@given(st.sampled_from(KINDS), st.lists(st.integers(0, 4_000), max_size=40))
def test_a_stream_in_any_pieces_gives_the_same(kind: ProviderKind, at: list[int]) -> None:
    known = PROVIDERS[kind]
    assert without_ids(events_of(read(kind, known.stream, *at)), known.events) == known.events
    whole = b"".join(delta.raw for delta in read(kind, known.stream, through=True))
    assert b"".join(delta.raw for delta in read(kind, known.stream, *at, through=True)) == whole


def test_one_byte_at_a_time_gives_the_same(kind: ProviderKind) -> None:
    known = PROVIDERS[kind]
    deltas = read(kind, known.stream, *range(len(known.stream)))
    assert without_ids(events_of(deltas), known.events) == known.events


@pytest.mark.parametrize(
    "dressed",
    [
        lambda stream: stream.replace(b"\n", b"\r\n"),
        lambda stream: stream.replace(b"\n", b"\r"),
        lambda stream: b"\xef\xbb\xbf" + stream,
        lambda stream: stream.replace(b"\n\n", b"\n\n: a comment\n\n"),
        lambda stream: stream.replace(b"data: ", b"id: 7\ndata:"),
        lambda stream: stream.replace(b"\n\n", b"\n\n\n\n"),
    ],
    ids=["CRLF", "CR", "BOM", "comments", "ids, no space", "blank lines"],
)
def test_any_framing_is_understood_and_mended(kind: ProviderKind, dressed) -> None:
    known = PROVIDERS[kind]
    stream = dressed(known.stream)
    assert without_ids(events_of(read(kind, stream)), known.events) == known.events
    assert read(kind, stream, through=True)[-1].last
    passed = b"".join(delta.raw for delta in read(kind, stream, through=True))
    assert passed == b"".join(delta.raw for delta in read(kind, known.stream, through=True))


def test_what_passes_through_is_the_stream_itself(kind: ProviderKind) -> None:
    known = PROVIDERS[kind]
    deltas = read(kind, known.stream, *range(0, len(known.stream), 97), through=True)
    expected = known.stream + known.terminal
    for left_out in known.left_out:
        expected = expected.replace(left_out, b"")
    assert b"".join(delta.raw for delta in deltas) == expected
    assert all(delta.raw.endswith(b"\n\n") or not delta.raw for delta in deltas)
    assert events_of(deltas) == ()
    assert [delta.meters for delta in deltas if delta.meters][-1] == known.meters


def test_nothing_is_given_before_something_is_said(kind: ProviderKind) -> None:
    """So that another deployment can be asked when it fails right after it began."""
    head = {"anthropic": message_start() + named({"type": "ping"}), "gemini": b": up\n\n"}
    assert reader(kind).feed(head.get(kind, begun().written)) is None
    if kind == "openai-responses":  # its keep-alive would be a second beginning
        delta = reader(kind, through=True).feed(begun().written)
        assert delta is not None
        assert delta.raw == begun().written
    else:
        assert reader(kind, through=True).feed(head[kind]) is None


def test_a_refusal_is_told_as_one(kind: ProviderKind) -> None:
    known = PROVIDERS[kind]
    assert events_of(read(kind, known.refused)) == known.refusal


def test_a_stream_that_breaks_off_is_no_answer(kind: ProviderKind) -> None:
    """Silent EOF, at the end of any event but the last ones."""
    whole = PROVIDERS[kind].only_text
    ends = [at + 2 for at in range(len(whole)) if whole[at : at + 2] == b"\n\n"]
    cut_short = ends[:-2] if kind == "anthropic" else ends[:-1]
    for end in [0, *cut_short]:
        for through in (False, True):
            with pytest.raises(BrokenAnswer) as broken:
                read(kind, whole[:end], through=through)
            assert broken.value.refusal.code == "upstream_failed"


def test_an_error_in_the_middle_keeps_what_came_before(kind: ProviderKind) -> None:
    with pytest.raises(BrokenAnswer) as broken:
        read(kind, PROVIDERS[kind].broken)
    assert broken.value.refusal.code == "upstream_busy"
    assert broken.value.delta is not None
    assert broken.value.delta.events == (Text("Hi"),)


def test_tokens_are_estimated_until_they_are_told(kind: ProviderKind) -> None:
    deltas = read(kind, PROVIDERS[kind].stream, *range(0, 8_000, 60))
    told_at_once = kind == "anthropic"  # with message_start
    assert told_at_once or any(delta.output_tokens for delta in deltas)
    assert all(not delta.output_tokens for delta in deltas if delta.meters)


@pytest.mark.parametrize("garbage", [b"not json", b"[]", b'"x"', b"{}", b'{"type":1}', b"\xff{}"])
def test_garbage_never_passes_for_an_answer(kind: ProviderKind, garbage: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        read(kind, b"data: " + garbage + b"\n\n")


@given(st.sampled_from(KINDS), st.binary(max_size=300), st.booleans())
def test_bytes_of_any_kind_give_a_typed_error(
    kind: ProviderKind, noise: bytes, through: bool
) -> None:
    with pytest.raises(BrokenAnswer):
        read(kind, b"data: " + noise + b"\n\n", through=through)


def test_an_endless_line_is_given_up(kind: ProviderKind) -> None:
    reading, piece = reader(kind), b"data: " + b"x" * 1_000_000
    for _ in range(8):
        assert reading.feed(piece) is None
    with pytest.raises(BrokenAnswer) as broken:
        reading.feed(piece)
    assert "8 MiB" in broken.value.refusal.message


# --- one by one ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "paused"),
        ("refusal", "refused"),
        ("model_context_window_exceeded", "context"),
        ("something_new", "stop"),
    ],
)
def test_reasons_of_anthropic(said: str, reason: str) -> None:
    events = events_of(read("anthropic", message_start() + text_block(0, "x") + message_end(said)))
    assert events[-1] == Finished(reason, native=said)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("OTHER", "refused"),
        *((word, "content_filter") for word in ("SAFETY", "RECITATION", "BLOCKLIST", "SPII")),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_reasons_of_gemini(said: str, reason: str) -> None:
    assert events_of(read("gemini", chunk({"text": "x"}, reason=said)))[-1] == Finished(
        reason, native=said
    )


@pytest.mark.parametrize("said", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_gemini_that_did_not_manage_is_a_failure_but_not_for_its_own_callers(said: str) -> None:
    with pytest.raises(BrokenAnswer):
        read("gemini", chunk(reason=said))
    assert read("gemini", chunk(reason=said), through=True)[-1].last


@pytest.mark.parametrize(
    ("said", "reason"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_reasons_of_responses(said: str, reason: str) -> None:
    stream = completed(spoken(begun(), 0, "x"), "incomplete", incomplete_details={"reason": said})
    assert events_of(read("openai-responses", stream))[-1] == Finished(reason, native=said)


def test_calls_make_a_stop_a_tool_call() -> None:
    stop = message_start() + tool_use(0, "now") + message_end("end_turn")
    assert events_of(read("anthropic", stop))[-1] == Finished("tool_calls", native="end_turn")


def test_a_stop_sequence_is_told() -> None:
    said = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    over = named({"type": "message_delta", "delta": said, "usage": {"output_tokens": 1}})
    stream = message_start() + text_block(0, "x") + over + named({"type": "message_stop"})
    assert events_of(read("anthropic", stream))[-1] == Finished(
        "stop_sequence", sequence="END", native="stop_sequence"
    )


def test_thoughts_that_are_hidden_keep_their_seal() -> None:
    hidden = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "signature_delta", "signature": "c2ln"},
    )
    redacted = block(1, {"type": "redacted_thinking", "data": "b3BhcXVl"})
    stream = message_start() + hidden + redacted + text_block(2, "x") + message_end("end_turn")
    assert events_of(read("anthropic", stream))[:2] == (
        Sealed("c2ln", "anthropic"),
        Sealed("redacted_thinking:b3BhcXVl", "anthropic"),
    )


def test_input_that_came_whole_with_its_block_is_not_lost() -> None:
    kind = {"type": "tool_use", "id": "toolu_0", "name": "look", "input": {"at": "x"}}
    stream = message_start() + block(0, kind) + message_end("tool_use")
    assert ToolArguments(0, '{"at":"x"}') in events_of(read("anthropic", stream))


def test_usage_of_anthropic_may_come_in_halves_and_zero_is_zero() -> None:
    stream = message_start(cache_read_input_tokens=9) + text_block(0, "x")
    over = message_end("end_turn", input_tokens=0, output_tokens=0)
    meters = [d.meters for d in read("anthropic", stream + over) if d.meters][-1]
    assert (meters.input_text, meters.input_cache_read, meters.output_tokens) == (0, 9, 0)


@pytest.mark.parametrize(
    ("kind", "stream"),
    [
        (
            "anthropic",
            message_start(input_tokens=-5)
            + text_block(0, "x" * 40)
            + message_end("end_turn", output_tokens=-3),
        ),
        (
            "gemini",
            chunk(
                {"text": "x" * 40},
                reason="STOP",
                usageMetadata={"promptTokenCount": -1, "candidatesTokenCount": -9},
            ),
        ),
        (
            "openai-responses",
            completed(spoken(begun(), 0, "x" * 40), usage={"input_tokens": 5, "output_tokens": -1}),
        ),
    ],
)
def test_usage_below_zero_is_not_believed(kind: ProviderKind, stream: bytes) -> None:
    deltas = read(kind, stream)
    assert all(delta.meters is None for delta in deltas)
    assert sum(delta.output_tokens for delta in deltas) == 10
    assert deltas[-1].last


def test_signatures_of_calls_are_kept_under_ids_of_our_own() -> None:
    kept: dict[str, str] = {}
    reading = OUTBOUND["gemini"].stream(False, kept.__setitem__)
    delta = reading.feed(PROVIDERS["gemini"].stream)
    assert delta is not None
    first, second = (event for event in delta.events if isinstance(event, ToolCallBegan))
    assert kept == {first.id: "c2ln"}
    assert first.id != second.id
    assert len(first.id) > 30, "nobody guesses it"


def test_gemini_tells_log_probabilities() -> None:
    said = {
        "chosenCandidates": [{"token": "H", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "H", "logProbability": -0.5}]}],
    }
    candidate = {"content": {"parts": [{"text": "H"}]}, "finishReason": "STOP"}
    stream = bare({"candidates": [{**candidate, "logprobsResult": said}]})
    (text, _) = events_of(read("gemini", stream))
    entry = {"token": "H", "logprob": -0.5, "bytes": [72]}
    assert text == Text("H", logprobs=({**entry, "top_logprobs": [entry]},))


def test_gemini_with_several_candidates() -> None:
    both = {"text": "x"}
    stream = b"".join(
        chunk(both).replace(b'"index":0', b'"index":%d' % at)
        + chunk(reason="STOP").replace(b'"index":0', b'"index":%d' % at)
        for at in (0, 1)
    )
    assert events_of(read("gemini", stream)) == (
        Text("x", 0),
        Finished("stop", 0, native="STOP"),
        Text("x", 1),
        Finished("stop", 1, native="STOP"),
    )
    begun_only = chunk(both).replace(b'"index":0', b'"index":1')
    with pytest.raises(BrokenAnswer):
        read("gemini", chunk(both, reason="STOP") + begun_only)


def test_responses_that_tell_everything_at_the_end_only() -> None:
    """Some servers send no pieces: an item is told by its end, or by the whole response."""
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    call = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "+x"}
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    said = (
        Reasoning("Hm.", summary=True),
        Text("Hi"),
        ToolCallBegan(0, "c", "patch", custom=True),
        ToolArguments(0, "+x"),
        Finished("tool_calls"),
    )
    output = [reasoning, message, call]
    assert events_of(read("openai-responses", completed(begun(), output=output))) == said
    by_items = begun()
    for at, item in enumerate(output):
        by_items.add("response.output_item.done", output_index=at, item=item)
    assert events_of(read("openai-responses", completed(by_items, output=output))) == said


def test_responses_arguments_are_told_once() -> None:
    stream = completed(
        called(begun(), 0, "look", '{"a":1}'),
        output=[{"type": "function_call", "call_id": "x", "name": "look", "arguments": '{"a":1}'}],
    )
    pieces = [
        e for e in events_of(read("openai-responses", stream)) if isinstance(e, ToolArguments)
    ]
    assert pieces == [ToolArguments(0, '{"a":1}')]


def test_failures_of_responses_come_in_three_shapes() -> None:
    nested = begun().add("error", error={"type": "too_many_requests", "message": "slow"})
    failed = begun().add(
        "response.failed", response={"status": "failed", "error": {"code": "server_error"}}
    )
    flat = begun().add("error", code="rate_limit_exceeded", message="slow", param=None)
    for stream, code in (
        (nested, "upstream_busy"),
        (flat, "upstream_busy"),
        (failed, "upstream_failed"),
    ):
        with pytest.raises(BrokenAnswer) as broken:
            read("openai-responses", stream.written)
        assert broken.value.refusal.code == code
        assert broken.value.delta is None, "another deployment may be asked"


def test_refusal_parts_of_responses() -> None:
    message = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    events = events_of(read("openai-responses", completed(begun(), output=[message])))
    assert events == (Refused("No."), Finished("refused"))

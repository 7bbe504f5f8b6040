"""An engine of each kind against a provider over real sockets: what is sent, what comes of it."""

import json

import pytest
from msgspec.structs import replace

from portico import errors
from portico.canon.conversation import Message, TextPart, Thought, Tool, ToolCall, ToolResult
from portico.canon.delta import Finished, Text, ToolArguments, ToolCallBegan
from portico.engines.base import UpstreamFailed
from portico.engines.provider.outbound import OUTBOUND, ProviderKind
from portico.engines.provider.survey import provider_at, survey_provider
from portico.engines.transport.base import Deadlines
from tests.engines.transport.upstream import Peer, answering, sized

from .asking import HI, foreign, heard, native, without_ids
from .conftest import Bench
from .providers import (
    GEMINI_USAGE,
    PROVIDERS,
    chunk,
    compact,
    message_end,
    message_start,
    tool_use,
)
from .serving import EVENTS, JSON, KEY, saying, streaming

pytestmark = pytest.mark.anyio

BODIES = {
    "anthropic": {"model": "public-name", "max_tokens": 5, "messages": [], "new_field": [1]},
    "gemini": {"contents": [{"parts": [{"text": "Hi"}]}], "newField": {"x": 1}},
    "openai-responses": {"model": "public-name", "input": "Hi", "client_metadata": {"x": "y"}},
}
TARGETS = {
    "anthropic": (b"/v1/messages", b"/v1/messages"),
    "gemini": (
        b"/v1beta/models/big:streamGenerateContent?alt=sse",
        b"/v1beta/models/big:generateContent",
    ),
    "openai-responses": (b"/v1/responses", b"/v1/responses"),
}
KEYS = {
    "anthropic": b"x-api-key",
    "gemini": b"x-goog-api-key",
    "openai-responses": b"authorization",
}
SEALED_BY_US = {
    "anthropic": {"signature": "pt1.AAAA"},
    "gemini": {"thoughtSignature": "cG9ydGljby9vcGVuYWkvYmxvYg=="},
    "openai-responses": {"portico_issuer": "portico", "encrypted_content": "pt1.AAAA"},
}


async def test_callers_of_any_dialect_get_events(bench: Bench, kind: ProviderKind) -> None:
    known = PROVIDERS[kind]
    engine = await bench.engine(kind, streaming(known.stream))
    got = await heard(engine, foreign())
    assert without_ids(got.events, known.events) == known.events
    assert got.meters == known.meters
    assert (got.over, got.raw) == (True, b"")
    assert bench.seen[0].line == b"POST %b HTTP/1.1" % TARGETS[kind][0]


async def test_the_key_goes_where_the_provider_wants_it(bench: Bench, kind: ProviderKind) -> None:
    engine = await bench.engine(kind, streaming(PROVIDERS[kind].stream))
    await heard(engine, foreign())
    asked = bench.seen[0]
    bearer = b"Bearer " if kind == "openai-responses" else b""
    assert asked.values(KEYS[kind]) == [bearer + KEY.encode()]
    assert asked.values(b"anthropic-version") == [b"2023-06-01"] * (kind == "anthropic")
    assert KEY.encode() not in asked.line + asked.body
    others = set(KEYS.values()) - {KEYS[kind]}
    assert not any(asked.values(name) for name in others)


async def test_callers_of_the_same_dialect_get_its_bytes(bench: Bench, kind: ProviderKind) -> None:
    known, outbound = PROVIDERS[kind], OUTBOUND[kind]
    engine = await bench.engine(kind, streaming(known.stream))
    got = await heard(engine, native(outbound.dialect, {**BODIES[kind], "stream": True}))
    for left_out in known.left_out:
        assert left_out not in got.raw
    assert got.raw.endswith(known.terminal)
    assert (got.events, got.meters, got.over) == ((), known.meters, True)


async def test_unknown_fields_reach_a_provider_of_the_same_dialect(
    bench: Bench, kind: ProviderKind
) -> None:
    engine = await bench.engine(kind, streaming(PROVIDERS[kind].stream))
    await heard(engine, native(OUTBOUND[kind].dialect, BODIES[kind]))
    sent = json.loads(bench.seen[0].body)
    ours = {"model": "big"} if kind != "gemini" else {}
    ours |= {"store": False} if kind == "openai-responses" else {}
    assert sent == {**BODIES[kind], **ours}


async def test_an_answer_in_one_piece_is_asked_for_and_passed_on(
    bench: Bench, kind: ProviderKind
) -> None:
    known = PROVIDERS[kind]
    engine = await bench.engine(kind, saying(compact(known.whole)))
    got = await heard(engine, native(OUTBOUND[kind].dialect, BODIES[kind], stream=False))
    assert (got.raw, got.over) == (compact(known.whole), True)
    assert got.meters is not None
    assert (got.meters.input_tokens, got.meters.output_tokens) == (3, 4)
    assert bench.seen[0].line == b"POST %b HTTP/1.1" % TARGETS[kind][1]


async def test_reasoning_that_we_sealed_is_never_passed_on(
    bench: Bench, kind: ProviderKind
) -> None:
    """What another engine thought came back in this dialect: the provider could only refuse it."""
    engine = await bench.engine(kind, streaming(PROVIDERS[kind].stream))
    body = {**BODIES[kind], "back": SEALED_BY_US[kind]}
    prompt = native(OUTBOUND[kind].dialect, body)
    got = await heard(engine, prompt)
    assert got.events
    sent = bench.seen[0].body
    assert not any(value.encode() in sent for value in SEALED_BY_US[kind].values())


@pytest.mark.parametrize(
    ("length", "asked"), [(0, 64_000), (80_000, 38_976), (150_000, 4_096), (10**9, 4_096)]
)
async def test_anthropic_is_asked_for_no_more_than_there_is_room_for(
    bench: Bench, length: int, asked: int
) -> None:
    """It refuses a prompt that does not fit together with the answer that was asked for."""
    engine = await bench.engine("anthropic", streaming(PROVIDERS["anthropic"].stream))
    await heard(engine, replace(foreign(), input_tokens_guess=length))
    assert json.loads(bench.seen[0].body)["max_tokens"] == asked


async def test_a_stream_that_is_one_array_is_made_of_events(bench: Bench) -> None:
    engine = await bench.engine("gemini", streaming(PROVIDERS["gemini"].stream))
    prompt = native("gemini", BODIES["gemini"], framing="array")
    assert (await heard(engine, prompt)).events


async def test_calls_of_tools_of_free_text_get_it_back(bench: Bench) -> None:
    stream = message_start() + tool_use(0, "patch", '{"inp', 'ut":"+x"}') + message_end("tool_use")
    engine = await bench.engine("anthropic", streaming(stream))
    got = await heard(engine, foreign(tools=(Tool("patch", {}, custom=True),)))
    assert got.events[:2] == (
        ToolCallBegan(0, "toolu_0", "patch", custom=True),
        ToolArguments(0, "+x"),
    )


async def test_a_signature_finds_back_to_its_call(bench: Bench) -> None:
    """A Chat client sends back the id and nothing else."""
    engine = await bench.engine("gemini", streaming(PROVIDERS["gemini"].stream))
    first = await heard(engine, foreign())
    began = [event for event in first.events if isinstance(event, ToolCallBegan)]
    calls = [ToolCall(event.id, event.name, "{}") for event in began]
    results = [ToolResult(event.id, (TextPart("done"),)) for event in began]
    await heard(engine, foreign(*HI, *calls, *results))
    model = json.loads(bench.seen[1].body)["contents"][1]
    assert [part.get("thoughtSignature") for part in model["parts"]] == ["c2ln", None]


async def test_a_signature_is_found_by_its_own_project_alone(bench: Bench) -> None:
    engine = await bench.engine("gemini", streaming(PROVIDERS["gemini"].stream))
    first = await heard(engine, replace(foreign(), project_id="proj_a"))
    (call, _) = (event for event in first.events if isinstance(event, ToolCallBegan))
    history = (*HI, ToolCall(call.id, "look", "{}"), ToolResult(call.id, ()))
    signed = []
    for project_id in ("proj_b", "proj_a"):
        await heard(engine, replace(foreign(*history), project_id=project_id))
        model = json.loads(bench.seen[-1].body)["contents"][1]
        signed.append(model["parts"][0]["thoughtSignature"])
    assert signed == ["skip_thought_signature_validator", "c2ln"]


async def test_a_signature_that_is_lost_is_said_so_in_the_documented_word(bench: Bench) -> None:
    engine = await bench.engine("gemini", streaming(PROVIDERS["gemini"].stream))
    call = ToolCall("call_of_another_model", "look", "{}")
    await heard(engine, foreign(*HI, call, ToolResult(call.id, (TextPart("done"),))))
    model = json.loads(bench.seen[0].body)["contents"][1]
    assert model["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"


async def test_a_signature_is_kept_for_hours_and_not_for_ever(bench: Bench) -> None:
    class Clock:
        now_s = 1_000.0

        def monotonic_s(self) -> float:
            return self.now_s

        def wall_ms(self) -> int:
            return 0

    clock = Clock()
    engine = await bench.engine("gemini", streaming(PROVIDERS["gemini"].stream), clock=clock)
    first = await heard(engine, foreign())
    (call, _) = (event for event in first.events if isinstance(event, ToolCallBegan))
    history = (*HI, ToolCall(call.id, "look", "{}"), ToolResult(call.id, ()))
    signed = []
    for later_s in (5 * 3600, 2 * 3600):
        clock.now_s += later_s
        await heard(engine, foreign(*history))
        model = json.loads(bench.seen[-1].body)["contents"][1]
        signed.append(model["parts"][0]["thoughtSignature"])
    assert signed == ["c2ln", "skip_thought_signature_validator"]


@pytest.mark.parametrize("issuer", ["anthropic", "gemini", "openai"])
async def test_sealed_thoughts_go_to_their_issuer_only(
    bench: Bench, kind: ProviderKind, issuer: str
) -> None:
    engine = await bench.engine(kind, streaming(PROVIDERS[kind].stream))
    thought = Thought("I think", "b3BhcXVlLWJsb2I", issuer)
    await heard(engine, foreign(*HI, thought, Message("assistant", (TextPart("x"),)), *HI))
    own = {"anthropic": "anthropic", "gemini": "gemini", "openai-responses": "openai"}
    assert (b"b3BhcXVlLWJsb2I" in bench.seen[0].body) == (own[kind] == issuer)


# --- what goes wrong -------------------------------------------------------------------------------


def errors_of(kind: ProviderKind, type: str, status: str, message: str) -> bytes:
    if kind == "anthropic":
        return compact({"type": "error", "error": {"type": type, "message": message}})
    if kind == "gemini":
        return compact({"error": {"code": 400, "message": message, "status": status}})
    return compact({"error": {"message": message, "type": type, "param": None, "code": None}})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"401 No", "engine_unavailable"),
        (b"402 Pay", "engine_unavailable"),
        (b"403 No", "engine_unavailable"),
        (b"404 No", "engine_unavailable"),
        (b"408 Late", "upstream_timeout"),
        (b"429 Slow", "upstream_busy"),
        (b"500 Oh", "upstream_failed"),
        (b"503 Busy", "upstream_busy"),
        (b"504 Late", "upstream_timeout"),
        (b"529 Overloaded", "upstream_busy"),
        (b"302 Found", "upstream_failed"),
        (b"301 Moved", "upstream_failed"),
    ],
)
async def test_a_status_that_is_not_the_callers_fault_lets_another_be_asked(
    bench: Bench, kind: ProviderKind, status: bytes, code: str
) -> None:
    said = errors_of(kind, "x_error", "X", "The secret key-of-the-operator is wrong")
    engine = await bench.engine(kind, saying(said, status))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert failed.value.refusal.code == code
    assert "key-of-the-operator" not in failed.value.refusal.message


@pytest.mark.parametrize("status", [b"429 Slow", b"529 Overloaded", b"503 Busy"])
async def test_when_to_come_back_is_passed_on(
    bench: Bench, kind: ProviderKind, status: bytes
) -> None:
    engine = await bench.engine(kind, saying(b"{}", status, b"Retry-After: 17\r\n"))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert failed.value.refusal.retry_after_ms == 17_000


async def test_gemini_says_when_to_come_back_in_the_body(bench: Bench) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "27.5s"}
    said = compact({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]}})
    engine = await bench.engine("gemini", saying(said, b"429 Slow"))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert failed.value.refusal.retry_after_ms == 27_000


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("prompt is too long: 215000 tokens > 200000 maximum", (215_000, 200_000)),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed "
            "(1048576).",
            (1_200_000, 1_048_576),
        ),
        (
            "This model's maximum context length is 128000 tokens. However, your messages "
            "resulted in 130000 tokens.",
            (130_000, 128_000),
        ),
        ("Your input exceeds the context window of this model.", (None, None)),
        ("max_tokens is 4096, more than the context window of 4096", (None, None)),
        (f"prompt is too long: {'9' * 60_000} tokens > 200000 maximum", (None, None)),
    ],
)
async def test_too_long_is_the_callers_fault_with_the_numbers(
    bench: Bench, kind: ProviderKind, message: str, numbers: tuple[int | None, int | None]
) -> None:
    said = errors_of(kind, "invalid_request_error", "INVALID_ARGUMENT", message)
    engine = await bench.engine(kind, saying(said, b"400 Bad Request"))
    with pytest.raises(errors.Refusal) as refused:
        await heard(engine, foreign())
    assert refused.value.code == "context_length_exceeded"
    assert (refused.value.value, refused.value.limit) == numbers


async def test_a_wrong_request_is_the_callers_fault_in_the_providers_words(
    bench: Bench, kind: ProviderKind
) -> None:
    said = errors_of(kind, "invalid_request_error", "INVALID_ARGUMENT", "temperature: too warm")
    engine = await bench.engine(kind, saying(said, b"400 Bad Request"))
    with pytest.raises(errors.Refusal) as refused:
        await heard(engine, foreign())
    assert refused.value.code == "upstream_refused"
    assert "temperature: too warm." in refused.value.message


@pytest.mark.parametrize(
    "message",
    [
        "API key not valid. Please pass a valid API key.",
        "Your credit balance is too low to access the API.",
        "You exceeded your current quota, please check your plan and billing details.",
    ],
)
async def test_the_operators_affairs_are_not_told_to_callers(
    bench: Bench, kind: ProviderKind, message: str
) -> None:
    """Anthropic and Google say 400 to them."""
    said = errors_of(kind, "invalid_request_error", "INVALID_ARGUMENT", message)
    engine = await bench.engine(kind, saying(said, b"400 Bad Request"))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert failed.value.refusal.code == "engine_unavailable"
    assert "key" not in failed.value.refusal.message
    assert "credit" not in failed.value.refusal.message


async def test_an_error_ahead_of_the_stream_in_a_200_lets_another_be_asked(
    bench: Bench, kind: ProviderKind
) -> None:
    busy = PROVIDERS[kind].broken.rsplit(b"data: ", 1)[1]
    for script in (streaming(b"data: " + busy), saying(busy)):
        engine = await bench.engine(kind, script)
        with pytest.raises(UpstreamFailed) as failed:
            await heard(engine, foreign())
        assert failed.value.refusal.code == "upstream_busy"


async def test_an_error_in_the_middle_ends_what_had_begun(bench: Bench, kind: ProviderKind) -> None:
    engine = await bench.engine(kind, streaming(PROVIDERS[kind].broken))
    got = []

    async def relay(delta) -> None:
        got.append(delta)

    with pytest.raises(UpstreamFailed):
        await engine.generate(foreign(), relay)
    assert [delta.events for delta in got] == [(Text("Hi"),)]
    assert not got[0].last


async def test_a_wrong_request_that_is_found_out_too_late_is_a_broken_answer(
    bench: Bench, kind: ProviderKind
) -> None:
    """Half an answer is out: this is no longer about the request."""
    ahead = PROVIDERS[kind].broken.rsplit(b"data: ", 1)[0]
    said = {
        "anthropic": {"type": "error", "error": {"type": "invalid_request_error"}},
        "gemini": {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}},
        "openai-responses": {"type": "error", "code": "invalid_prompt", "message": "no"},
    }[kind]
    engine = await bench.engine(kind, streaming(ahead + b"data: " + compact(said) + b"\n\n"))
    with pytest.raises(UpstreamFailed):
        await heard(engine, foreign())
    engine = await bench.engine(kind, streaming(b"data: " + compact(said) + b"\n\n"))
    with pytest.raises(errors.Refusal):
        await heard(engine, foreign())


async def test_a_connection_that_dies_in_the_middle_is_no_answer(
    bench: Bench, kind: ProviderKind
) -> None:
    whole = sized(PROVIDERS[kind].only_text, fields=EVENTS)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(whole[:-40])

    engine = await bench.engine(kind, script)
    with pytest.raises(UpstreamFailed):
        await heard(engine, foreign())


@pytest.mark.parametrize("type", [b"text/html", b"text/plain", b"application/octet-stream"])
@pytest.mark.parametrize("stream", [True, False])
async def test_another_content_type_is_no_answer(
    bench: Bench, kind: ProviderKind, type: bytes, stream: bool
) -> None:
    body = sized(PROVIDERS[kind].stream, fields=b"Content-Type: %b\r\n" % type)
    engine = await bench.engine(kind, answering(body))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, native(OUTBOUND[kind].dialect, BODIES[kind], stream=stream))
    assert failed.value.refusal.code == "upstream_failed"


async def test_a_stream_is_asked_for_and_a_whole_answer_is_none(
    bench: Bench, kind: ProviderKind
) -> None:
    engine = await bench.engine(kind, saying(compact(PROVIDERS[kind].whole)))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert "ignores that a stream was asked for" in failed.value.refusal.message


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"x", b'{"error":{"message":1}}'])
async def test_whole_answers_that_are_none(bench: Bench, kind: ProviderKind, body: bytes) -> None:
    engine = await bench.engine(kind, saying(body))
    with pytest.raises(UpstreamFailed):
        await heard(engine, native(OUTBOUND[kind].dialect, BODIES[kind], stream=False))


async def test_a_provider_that_is_not_there_rests(bench: Bench, kind: ProviderKind) -> None:
    server = provider_at(kind, "http://127.0.0.1:9", KEY)
    engine = await bench.engine(kind, streaming(b""))
    engine._server = server
    assert engine.ready
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert failed.value.refusal.code == "engine_unavailable"
    assert not engine.ready


async def test_silence_ends(bench: Bench, kind: ProviderKind) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + EVENTS + b"Content-Length: 99999\r\n\r\n")
        await peer.until_client_closes()

    engine = await bench.engine(kind, script, Deadlines(idle_s=0.05))
    with pytest.raises(UpstreamFailed) as failed:
        await heard(engine, foreign())
    assert failed.value.refusal.code == "upstream_timeout"


# --- what it lists, and how many tokens it counts ---------------------------------------------------


async def test_a_survey_lists_models_with_their_limits(bench: Bench, kind: ProviderKind) -> None:
    upstream = await bench.upstream(saying(compact(PROVIDERS[kind].models)))
    server = provider_at(kind, f"http://127.0.0.1:{upstream.origin.port}", KEY)
    found = await survey_provider(bench.transport, server, kind)
    assert found.problem == ""
    assert found.model("big").context_tokens == 200_000
    limit = None if kind == "openai-responses" else 64_000
    assert found.model("models/big").output_tokens_max == limit
    assert found.model("other").context_tokens is None


@pytest.mark.parametrize(
    ("status", "says"),
    [(b"401 No", "does not accept the API key"), (b"500 Oh", "answers with status 500")],
)
async def test_a_survey_says_what_is_wrong(
    bench: Bench, kind: ProviderKind, status: bytes, says: str
) -> None:
    upstream = await bench.upstream(answering(sized(b"{}", status=status, fields=JSON)))
    server = provider_at(kind, f"http://127.0.0.1:{upstream.origin.port}", KEY)
    found = await survey_provider(bench.transport, server, kind)
    assert says in found.problem
    assert KEY not in found.problem


async def test_a_server_without_a_list_is_served_all_the_same(
    bench: Bench, kind: ProviderKind
) -> None:
    upstream = await bench.upstream(saying(b"{}", b"404 Not Found"))
    server = provider_at(kind, f"http://127.0.0.1:{upstream.origin.port}", KEY)
    assert (await survey_provider(bench.transport, server, kind)).problem == ""


async def test_tokens_are_counted_by_the_provider(bench: Bench, kind: ProviderKind) -> None:
    said = {"totalTokens": 41} if kind == "gemini" else {"input_tokens": 41}
    engine = await bench.engine(kind, saying(compact(said)))
    assert await engine.count(foreign(tools=(Tool("t", {}),))) == 41
    sent = json.loads(bench.seen[0].body)
    assert not {"max_tokens", "stream", "store", "generationConfig"} & sent.keys()
    engine = await bench.engine(kind, saying(b"{}", b"500 Oh"))
    assert await engine.count(foreign()) is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h:1", ""),
        ("http://h:1/", ""),
        ("http://h:1/v1", ""),
        ("http://h:1/v1beta/", ""),
        ("http://h:1/proxy/v1", "/proxy"),
    ],
)
def test_addresses_with_and_without_a_version(kind: ProviderKind, url: str, path: str) -> None:
    assert provider_at(kind, url, "k").base_path == path


@pytest.mark.parametrize("key", ["two\nlines", "ünicode", "a\r\nx-evil: 1"])
def test_a_key_cannot_smuggle_a_header_and_is_not_quoted(kind: ProviderKind, key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        provider_at(kind, "http://h:1", key)
    assert key not in str(refused.value)


async def test_a_model_name_cannot_leave_its_place_in_the_path(bench: Bench) -> None:
    outbound = OUTBOUND["gemini"]
    assert outbound.target("../x?y=/z", False) == (
        "/v1beta/models/..%2Fx%3Fy%3D%2Fz:generateContent"
    )
    assert outbound.target("models/big", True).startswith("/v1beta/models/big:stream")


async def test_finish_reasons_reach_the_record(bench: Bench) -> None:
    stream = chunk({"text": "x"}, reason="MAX_TOKENS", usageMetadata=GEMINI_USAGE)
    engine = await bench.engine("gemini", streaming(stream))
    got = await heard(engine, foreign())
    assert got.events[-1] == Finished("length", native="MAX_TOKENS")
    assert got.deltas[-1].finish == "length"

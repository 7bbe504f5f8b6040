"""An upstream may send anything.  The caller gets a typed failure, and nothing grows."""

import asyncio
import json

import pytest

from engines.transport.upstream import answering, sized
from portico.engines.base import UpstreamFailed
from portico.engines.transport.base import Deadlines
from portico.errors import Refusal

from .prompts import Heard, heard, prompt_of

pytestmark = pytest.mark.anyio

STREAM = prompt_of(stream=True)
WHOLE = prompt_of()

EVENTS = b"Content-Type: text/event-stream\r\n"
JSON = b"Content-Type: application/json\r\n"


def chunk(delta=None, finish=None, **more):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    whole = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt",
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


def usage(**figures):
    return chunk(usage=figures, choices=[])


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
STOP = chunk(finish="stop")
DONE = b"data: [DONE]\n\n"
USAGE = usage(prompt_tokens=5, completion_tokens=7, total_tokens=12)


def events(*pieces, fields=EVENTS, status=b"200 OK"):
    """A complete HTTP response that streams `pieces`."""
    return answering(
        b"HTTP/1.1 %b\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (status, fields)
        + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n\r\n"
    )


def cut_off(*pieces):
    """The same, but the socket closes before the last chunk of the transfer coding."""
    head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % EVENTS
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)

    async def script(peer):
        await peer.request()
        await peer.send(head + body)

    return script


async def failure_of(engine, prompt):
    found = Heard(prompt)
    with pytest.raises((UpstreamFailed, Refusal)) as raised:
        await engine.generate(prompt, found.relay)
    assert not found.over
    error = raised.value
    return (error.refusal if isinstance(error, UpstreamFailed) else error), found


@pytest.mark.parametrize("clean", [True, False])
async def test_a_good_stream_gives_its_text_its_usage_and_one_end(bench, clean):
    engine = await bench.engine(events(ROLE, HI, STOP, USAGE, DONE), clean=clean)
    found = await heard(engine, STREAM)
    assert found.over
    assert (found.meters.input_tokens, found.meters.output_tokens) == (5, 7)
    assert found.deltas[-1].finish == "stop"


STREAMS_THAT_FAIL = {
    "nothing at all": [],
    "html": [b"<html>It works</html>"],
    "not JSON": [ROLE, b"data: {nope}\n\n"],
    "not an object": [ROLE, b"data: [1,2]\n\n"],
    "bytes": [ROLE, b"\x00\xff\xfe\x00" * 100],
    "choices of another shape": [ROLE, b'data: {"choices":"none"}\n\n'],
    "ends without an end": [ROLE, HI],
    "ends in an event": [ROLE, HI[:20]],
    "an error event": [ROLE, HI, b'data: {"error":{"message":"out of memory","code":500}}\n\n'],
    "only [DONE]": [DONE],
}


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("name", list(STREAMS_THAT_FAIL))
async def test_a_bad_stream_fails_in_words(bench, name, clean):
    engine = await bench.engine(events(*STREAMS_THAT_FAIL[name]), clean=clean)
    refusal, found = await failure_of(engine, STREAM)
    assert refusal.status in (502, 504)
    assert "<html>" not in refusal.message
    assert (b"Hi" in found.written) == (HI in STREAMS_THAT_FAIL[name])


async def test_a_refusal_in_mid_stream_is_a_broken_answer(bench):
    """The caller was already being answered: this is no longer about the request."""
    late = b'data: {"error":{"message":"context length exceeded","code":400}}\n\n'
    engine = await bench.engine(events(ROLE, HI, late))
    with pytest.raises(UpstreamFailed):
        await heard(engine, STREAM)
    first = await bench.engine(events(late))
    with pytest.raises(Refusal):
        await heard(first, STREAM)


@pytest.mark.parametrize("clean", [True, False])
async def test_a_line_without_end_is_given_up(bench, clean):
    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\ndata: " % EVENTS)
        while True:
            await peer.send(b"x" * 1_000_000)

    refusal, found = await failure_of(await bench.engine(script, clean=clean), STREAM)
    assert refusal.code == "upstream_failed"
    assert not found.written


async def test_a_socket_that_closes_mid_stream_is_a_loss_that_began(bench):
    engine = await bench.engine(cut_off(ROLE, HI))
    found = Heard(STREAM)
    with pytest.raises(UpstreamFailed) as failed:
        await engine.generate(STREAM, found.relay)
    assert failed.value.began
    assert b"Hi" in found.written


async def test_a_socket_that_closes_before_the_head_is_a_loss_that_had_not_begun(bench):
    async def script(peer):
        await peer.request()

    with pytest.raises(UpstreamFailed) as failed:
        await heard(await bench.engine(script), STREAM)
    assert not failed.value.began


@pytest.mark.parametrize("prompt", [STREAM, WHOLE])
async def test_an_error_with_status_200_is_an_error(bench, prompt):
    body = b'{"error":{"message":"no","type":"exceed_context_size_error","code":400}}'
    refusal, _ = await failure_of(await bench.engine(answering(sized(body, fields=JSON))), prompt)
    assert refusal.code == "context_length_exceeded"
    body = b'{"error":{"message":"cuda","code":500}}'
    refusal, _ = await failure_of(await bench.engine(answering(sized(body, fields=JSON))), prompt)
    assert refusal.code == "upstream_failed"


@pytest.mark.parametrize(
    ("prompt", "fields"), [(STREAM, JSON), (STREAM, b""), (WHOLE, EVENTS), (WHOLE, b"")]
)
async def test_the_wrong_content_type_is_not_an_answer(bench, prompt, fields):
    engine = await bench.engine(answering(sized(b"<html>login</html>", fields=fields)))
    refusal, _ = await failure_of(engine, prompt)
    assert refusal.code == "upstream_failed"


@pytest.mark.parametrize(
    "body",
    [b"", b"nope", b"[]", b"{}", b'{"choices":[]}', b'{"choices":{}}', b"[" * 200_000, b"\xff"],
)
async def test_a_whole_answer_that_is_none_fails(bench, body):
    engine = await bench.engine(answering(sized(body, fields=JSON)))
    refusal, found = await failure_of(engine, WHOLE)
    assert refusal.code == "upstream_failed"
    assert not found.deltas


async def test_a_whole_answer_beyond_the_limit_is_given_up(bench, monkeypatch):
    monkeypatch.setattr("portico.engines.openai_compatible.asking._ANSWER_BYTES_MAX", 10_000)
    engine = await bench.engine(answering(sized(b" " * 20_000, fields=JSON)))
    refusal, _ = await failure_of(engine, WHOLE)
    assert refusal.code == "upstream_failed"


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(
    "figures",
    [
        {"prompt_tokens": -5, "completion_tokens": 7},
        {"prompt_tokens": 5, "completion_tokens": -7},
        {"prompt_tokens": 5.5, "completion_tokens": "many"},
        {"prompt_tokens": None, "completion_tokens": None},
        {},
    ],
)
async def test_impossible_usage_is_ignored_and_deltas_are_counted(bench, figures, clean):
    engine = await bench.engine(events(ROLE, HI, HI, STOP, usage(**figures), DONE), clean=clean)
    found = await heard(engine, STREAM)
    assert all(delta.meters is None for delta in found.deltas)
    assert sum(delta.output_tokens for delta in found.deltas) == 2


async def test_busy_keeps_the_time_to_wait(bench):
    response = sized(b"{}", status=b"429 Too Many", fields=b"Retry-After: 7\r\n")
    refusal, _ = await failure_of(await bench.engine(answering(response)), STREAM)
    assert (refusal.code, refusal.retry_after_ms) == ("upstream_busy", 7_000)


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
async def test_the_operators_bad_key_is_not_the_callers(bench, status):
    body = b'{"error":{"message":"Incorrect API key provided: sk-own"}}'
    refusal, _ = await failure_of(await bench.engine(answering(sized(body, status=status))), WHOLE)
    assert refusal.code == "engine_unavailable"
    assert "sk-" not in refusal.message


@pytest.mark.parametrize(
    ("deadlines", "sends"),
    [
        (Deadlines(first_byte_s=0.02), b""),
        (Deadlines(idle_s=0.02), b"HTTP/1.1 200 OK\r\nContent-Ty"),
        (Deadlines(idle_s=0.02), b"HTTP/1.1 200 OK\r\n%b\r\n" % EVENTS + ROLE),
        (Deadlines(total_s=0.02), b"HTTP/1.1 200 OK\r\n%b\r\n" % EVENTS + ROLE),
    ],
)
async def test_silence_ends_at_its_deadline(bench, deadlines, sends):
    async def script(peer):
        await peer.request()
        await peer.send(sends)
        await peer.until_client_closes()

    refusal, _ = await failure_of(await bench.engine(script, deadlines), STREAM)
    assert refusal.code == "upstream_timeout"


async def test_nobody_listening_is_unavailable_and_not_ready(bench):
    engine = await bench.engine(answering(b""))
    await bench.close()
    bench.transport = type(bench.transport)()
    engine._transport = bench.transport
    assert engine.ready
    refusal, _ = await failure_of(engine, STREAM)
    assert refusal.code == "engine_unavailable"
    assert not engine.ready


async def test_one_answer_makes_it_ready_again(bench):
    engine = await bench.engine(events(ROLE, HI, STOP, USAGE, DONE))
    for _ in range(10):
        engine._note_failure()
    assert not engine.ready
    await heard(engine, STREAM)
    assert engine.ready
    engine._note_failure()
    assert engine._resting_until_s - engine._clock.monotonic_s() < 1.0


async def test_a_cancelled_answer_hangs_up_on_the_upstream(bench):
    hung_up = asyncio.Event()

    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\n" % EVENTS + ROLE + HI)
        await peer.until_client_closes()
        hung_up.set()

    engine, began = await bench.engine(script), asyncio.Event()

    async def relay(_delta):
        began.set()

    task = asyncio.create_task(engine.generate(STREAM, relay))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        await hung_up.wait()


async def test_a_redirect_is_not_followed(bench):
    async def elsewhere(peer):
        await peer.request()

    other = await bench.upstream(elsewhere)
    location = b"Location: http://127.0.0.1:%d/\r\n" % other.origin.port
    engine = await bench.engine(answering(sized(b"", status=b"307 Go", fields=location)))
    refusal, _ = await failure_of(engine, WHOLE)
    assert refusal.code == "upstream_failed"
    assert not other.peers


async def test_only_our_headers_reach_the_upstream(bench):
    engine = await bench.engine(events(ROLE, HI, STOP, USAGE, DONE))
    prompt = prompt_of(stream=True)
    prompt.hints["x-client-header"] = "1"
    await heard(engine, prompt)
    (upstream,) = bench._upstreams
    (request,) = upstream.requests
    names = {name.lower() for name, _ in request.headers}
    assert names == {
        b"host",
        b"content-length",
        b"content-type",
        b"accept-encoding",
        b"user-agent",
        b"authorization",
    }
    assert request.values(b"authorization") == [b"Bearer sk-own"]
    assert request.line == b"POST /v1/chat/completions HTTP/1.1"


async def test_a_connection_is_used_again_except_with_llamacpp(bench):
    good = events(ROLE, HI, STOP, USAGE, DONE)
    for kind, connections in (("generic", 1), ("llamacpp", 3)):
        engine = await bench.engine(good, kind=kind)
        for _ in range(3):
            await heard(engine, STREAM)
        assert len(bench._upstreams[-1].peers) == connections


async def test_a_connection_is_used_again_though_its_end_comes_by_itself(bench):
    head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % EVENTS
    data = ROLE + HI + STOP + USAGE + DONE
    relayed = asyncio.Event()

    async def script(peer):
        while True:
            await peer.request()
            await peer.send(head + b"%x\r\n%b\r\n" % (len(data), data))
            await relayed.wait()
            relayed.clear()
            await peer.send(b"0\r\n\r\n")

    async def relay(delta):
        if delta.last:
            relayed.set()

    engine = await bench.engine(script)
    for _ in range(3):
        await engine.generate(STREAM, relay)
    assert len(bench._upstreams[-1].peers) == 1


async def test_a_server_that_ends_late_after_done_is_not_waited_for(bench):
    head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % EVENTS
    data = ROLE + HI + STOP + USAGE + DONE

    async def script(peer):
        await peer.request()
        await peer.send(head + b"%x\r\n%b\r\n" % (len(data), data))
        await peer.until_client_closes()

    assert (await heard(await bench.engine(script), STREAM)).over


async def test_a_whole_answer_passes_as_it_is(bench):
    body = json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hi"},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
            "vendor": {"kept": True},
        }
    ).encode()
    found = await heard(await bench.engine(answering(sized(body, fields=JSON))), WHOLE)
    (delta,) = found.deltas
    assert delta.raw == body
    assert (delta.meters.input_tokens, delta.meters.output_tokens) == (5, 7)
    assert delta.finish == "stop"

"""What the dialects cost, in microseconds of CPU: `python bench/dialect.py [--json]`.

One request parsed (900 bytes of text; 1 MB with an image in it), one chunk passed through, one
chunk put right event by event; one chunk of every engine's dialect, translated into every caller's.  Best of several rounds, one core; absolute figures vary with the
machine, so compare them with a plain msgspec decode of the same body, given beside them.
"""

import argparse
import base64
import json
import time
from collections.abc import Callable
from functools import partial

import msgspec

from portico.app.spoken.dialects import spoken
from portico.canon.delta import Delta, Text
from portico.dialects.openai_chat.parse import parse
from portico.dialects.openai_chat.reading.reader import StreamReader
from portico.dialects.openai_chat.repair import RepairReader
from portico.dialects.openai_chat.upstream import body_for
from portico.dialects.openai_chat.writer import writer_for
from portico.door.dialect import Writer
from portico.engines.openai_compatible.asking import Reader
from portico.engines.openai_compatible.collecting import Collecting
from portico.engines.provider.outbound import OUTBOUND
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal

ROUNDS = 7


def cost_us(work: Callable[[], object], times: int) -> float:
    """CPU per call, in microseconds: the best of ROUNDS rounds of `times` calls."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - began)
    return best / times * 1e6


def small_body() -> bytes:
    request = {
        "model": "portico-demo",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 8},
            {"role": "user", "content": "Tell me about the thing, please. " * 15},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(request, separators=(",", ":")).encode()


def image_body() -> bytes:
    url = (
        "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(750_000)).decode()
    )
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    request = {"model": "portico-demo", "messages": [{"role": "user", "content": parts}]}
    return json.dumps(request, separators=(",", ":")).encode()


def chunk(text: str, **figures: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    start = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000}
    payload = {**start, "model": "m", "choices": [choice], **figures}
    return json.dumps(payload, separators=(",", ":")).encode()


def event(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


TIMINGS = {
    "cache_n": 11,
    "prompt_n": 1,
    "prompt_ms": 0.852,
    "prompt_per_token_ms": 0.852,
    "prompt_per_second": 1173.7089201877934,
    "predicted_n": 3,
    "predicted_ms": 1.009,
    "predicted_per_token_ms": 0.5045,
    "predicted_per_second": 1982.1605550049555,
}
USAGE = {"prompt_tokens": 12, "total_tokens": 20, "completion_tokens": 8}


def requests() -> dict[str, float]:
    small, image = small_body(), image_body()
    prompt = parse(small, {})
    return {
        f"msgspec decode, untyped, {len(small)} B (for scale)": cost_us(lambda: msgspec.json.decode(small), 5_000),
        f"parse, {len(small)} B": cost_us(lambda: parse(small, {}), 5_000),
        "body for the engine, nothing to change": cost_us(lambda: body_for(prompt, "portico-demo"), 5_000),
        "body for the engine, renamed": cost_us(lambda: body_for(prompt, "other"), 5_000),
        f"parse, {len(image)} B with an image": cost_us(lambda: parse(image, {}), 20),
    }  # fmt: skip


def chunks() -> dict[str, float]:
    plain, other = event(chunk(" hello")), event(chunk(" world"))
    ten = event(chunk(" hello")) * 10

    def reader(
        kind: type[StreamReader] | type[RepairReader], first: bytes
    ) -> StreamReader | RepairReader:
        made = kind(wants_usage=False, timings=True)
        made.feed(first)
        return made

    through, repair = reader(StreamReader, plain), reader(RepairReader, plain)
    timed, used = event(chunk(" hello", timings=TIMINGS)), event(chunk(" hello", usage=USAGE))
    with_timings, with_usage = reader(StreamReader, timed), reader(StreamReader, used)
    writer = writer_for(parse(small_body(), {}), "req_1", 1)
    delta = Delta(events=(Text(" hello"),), output_tokens=1)
    payload = chunk(" hello")
    return {
        "msgspec decode, untyped, one chunk (for scale)": cost_us(lambda: msgspec.json.decode(payload), 20_000),
        "chunk passed through, one per read": cost_us(lambda: through.feed(other), 20_000),
        "chunk passed through, ten per read": cost_us(lambda: through.feed(ten), 2_000) / 10,
        "chunk passed through, timings taken out": cost_us(lambda: with_timings.feed(timed), 10_000),
        "chunk passed through, usage taken out": cost_us(lambda: with_usage.feed(used), 10_000),
        "chunk put right": cost_us(lambda: repair.feed(plain), 10_000),
        "chunk written from an event": cost_us(lambda: writer.write(delta), 10_000),
    }  # fmt: skip


def named(type: str, **members: object) -> bytes:
    payload = json.dumps({"type": type, **members}, separators=(",", ":"))
    return b"event: %b\n" % type.encode() + event(payload.encode())


SAID = " hello there"
TEXT_BLOCK = {"type": "text", "text": ""}
MESSAGE = {"id": "msg_1", "usage": {"input_tokens": 9, "output_tokens": 1}}
PIECES: dict[str, tuple[bytes, bytes]] = {
    "chat": (event(chunk("Oh")), event(chunk(SAID))),
    "anthropic": (
        named("message_start", message=MESSAGE)
        + named("content_block_start", index=0, content_block=TEXT_BLOCK),
        named("content_block_delta", index=0, delta={"type": "text_delta", "text": SAID}),
    ),
    "gemini": (
        b"",
        event(
            json.dumps(
                {
                    "candidates": [{"content": {"parts": [{"text": SAID}], "role": "model"}, "index": 0}],
                    "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
                    "modelVersion": "gemini",
                    "responseId": "x",
                }
            ).encode()
        ),
    ),
    "openai-responses": (
        named("response.output_item.added", output_index=0, item={"type": "message", "id": "msg_1"}),
        named(
            "response.output_text.delta",
            sequence_number=4,
            item_id="msg_1",
            output_index=0,
            content_index=0,
            delta=SAID,
            logprobs=[],
        ),
    ),
}  # fmt: skip
"""By the dialect of an engine: what comes ahead of the text, and one piece of it."""
ROUTES = {
    "chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{id}:streamGenerateContent",
    "openai-responses": "/v1/responses",
}


def reader_of(engine: str, *, through: bool = False) -> Reader:
    if engine == "chat":
        return Collecting(choices=1, timings=False)
    for kind, outbound in OUTBOUND.items():
        if kind == engine:
            return outbound.stream(through, lambda _id, _signature: None)
    raise KeyError(engine)


def writers() -> dict[str, Writer]:
    """A stream's writer, by the dialect of the caller."""
    dialects = spoken(Seal([bytes(32)]), SystemClock()).generating
    found = {}
    for caller, path in ROUTES.items():
        dialect = dialects[path]
        body = json.dumps({**dialect.specimen, "stream": True}).encode()
        prompt = dialect.parse(body, {":rest": "m", ":query": "alt=sse"})
        found[caller] = dialect.writer(prompt, "req_1", 1)
    return found


def translations() -> dict[str, float]:
    """Reading one chunk of an engine's and writing it for a caller."""
    figures = {}
    for engine, (ahead, piece) in PIECES.items():
        for caller, writer in writers().items():
            reader = reader_of(engine)
            reader.feed(ahead)

            def translate(
                reader: Reader = reader, piece: bytes = piece, writer: Writer = writer
            ) -> None:
                delta = reader.feed(piece)
                assert delta is not None
                assert writer.write(delta)

            figures[f"chunk translated, {engine} engine, {caller} caller"] = cost_us(
                translate, 3_000
            )
        if engine != "chat":
            through = reader_of(engine, through=True)
            through.feed(ahead)
            name = f"chunk passed through, {engine} engine and caller"
            figures[name] = cost_us(partial(through.feed, piece), 3_000)
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="figures as one JSON object")
    figures = {
        name: round(us, 3) for name, us in {**requests(), **chunks(), **translations()}.items()
    }
    if options.parse_args().json:
        print(json.dumps({"unit": "us of CPU", "figures": figures}))
        return
    for name, us in figures.items():
        print(f"{us:10.2f} us  {name}")


if __name__ == "__main__":
    main()

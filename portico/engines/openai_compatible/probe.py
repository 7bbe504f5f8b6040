"""Find out what one model at one server can do, and whether its streams may pass as bytes.

Run when a deployment is added, at start, and by `portico doctor --generate`.  Costs one tiny answer.
Nothing is raised for a server that is down or odd: the profile says so and is the cautious one.
"""

from dataclasses import replace

import msgspec

from portico.canon.prompt import Feature
from portico.dialects.openai_chat.repair import judge
from portico.engines.openai_compatible.embedding import embeds
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.server import Kind, Server
from portico.engines.openai_compatible.survey import ModelFound, Survey, survey
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed

_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=60.0, idle_s=15.0, total_s=90.0)
_ANSWER_BYTES_MAX = 1_048_576
_CONCURRENCY_UNKNOWN = 256
_ONLY_VECTORS: frozenset[Feature] = frozenset({"embeddings"})
_REFUSES = frozenset({400, 404, 405, 422, 500, 501})
"""How servers say that a model does not chat."""
_TELLS_RUNNING_USAGE: frozenset[Kind] = frozenset({"vllm", "sglang"})


class _StreamFailed(Exception):
    """Says why there is no stream to judge.  refused: the server is there and will not make one."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


async def probe(
    transport: Transport,
    server: Server,
    model: str,
    *,
    share_prefix_cache: bool = False,
    concurrency_max: int = _CONCURRENCY_UNKNOWN,
) -> Profile:
    """At most two minutes, mostly one short answer.

    model: the server's own name for it.
    concurrency_max: requests to run at once where the server does not say its slots.
    """
    found = await survey(transport, server)
    return await try_stream(
        transport,
        server,
        found,
        model,
        share_prefix_cache=share_prefix_cache,
        concurrency_max=concurrency_max,
    )


async def try_stream(
    transport: Transport,
    server: Server,
    found: Survey,
    model: str,
    *,
    share_prefix_cache: bool = False,
    concurrency_max: int = _CONCURRENCY_UNKNOWN,
    efforts: frozenset[str] | None = None,
) -> Profile:
    """The same after a survey, for each of several models at one server.

    model: the server's name for it, or one of the survey's.
    efforts: the reasoning efforts it takes, where the operator says; else the survey may.
    """
    listed = found.model(model)
    clean, running_usage, remark, problem, refused = False, False, "", found.problem, False
    if not problem:
        try:
            seen = await _stream(transport, server, found.kind, listed)
            faults = [fault for fault in judge(seen) if not _put_right_in_passing(fault)]
            clean, remark = not faults, _in_words(server, faults)
            running_usage = found.kind in _TELLS_RUNNING_USAGE and _usage_in_every_chunk(seen)
        except _StreamFailed as failed:
            problem, refused = str(failed), failed.refused
    abilities = found.abilities(model, concurrency_max)
    # llama.cpp says nowhere whether it was started for vectors; others are believed, unless they
    # can do nothing else.
    if (found.kind == "llamacpp" and not problem) or refused:
        does = await embeds(transport, server, listed.asked_as)
        if refused and does:
            abilities, problem = replace(abilities, features=_ONLY_VECTORS), ""
        elif does:
            abilities = replace(abilities, features=abilities.features | _ONLY_VECTORS)
    return Profile(
        kind=found.kind,
        model=listed.asked_as,
        abilities=abilities,
        clean=clean,
        running_usage=running_usage,
        share_prefix_cache=share_prefix_cache,
        adapter=listed.adapter,
        efforts=found.efforts if efforts is None else efforts,
        remark=remark,
        problem=problem,
    )


async def _stream(transport: Transport, server: Server, kind: Kind, model: ModelFound) -> bytes:
    """A short stream, whole."""
    options: dict[str, bool] = {"include_usage": True}
    if kind in _TELLS_RUNNING_USAGE:
        options["continuous_usage_stats"] = True
    chosen = {} if model.adapter is None else {"lora": [model.adapter._asdict()]}
    body = msgspec.json.encode(
        {
            "model": model.asked_as,
            "messages": [{"role": "user", "content": "Say: one two three"}],
            "max_tokens": 8,
            "stream": True,
            "stream_options": options,
            **chosen,
        }
    )
    call = Call(
        server.origin, "POST", server.chat_target, server.headers, body, _DEADLINES, reuse=False
    )
    try:
        answer = await transport.send(call)
        try:
            seen = await answer.read(_ANSWER_BYTES_MAX)
        finally:
            answer.close()
    except TransportFailed as failed:
        raise _StreamFailed(f"{server.shown()} did not answer a test: {failed}.") from failed
    if answer.status != 200:
        raise _StreamFailed(
            f"{server.shown()} answered a test for {model.name!r} with status {answer.status}.",
            refused=answer.status in _REFUSES,
        )
    return seen


def _put_right_in_passing(fault: str) -> bool:
    """The pass-through reader mends framing, and takes away the running usage we asked for; the
    rest needs every event read and written anew."""
    return fault.startswith("framing:") or fault == "usage on chunks with choices"


def _in_words(server: Server, faults: list[str]) -> str:
    if not faults:
        return ""
    return f"Streams of {server.shown()} are put right event by event: {'; '.join(faults)}."


def _usage_in_every_chunk(seen: bytes) -> bool:
    return seen.count(b'"completion_tokens"') > 1

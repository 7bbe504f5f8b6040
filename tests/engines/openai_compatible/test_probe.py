"""What is found out about a server before it is served."""

import json

import pytest

from engines.transport.upstream import sized
from portico.engines.openai_compatible.probe import probe
from portico.engines.openai_compatible.server import server_at
from portico.engines.openai_compatible.survey import survey

pytestmark = pytest.mark.anyio

JSON = b"Content-Type: application/json\r\n"
EVENTS = b"Content-Type: text/event-stream\r\n"


def models(*names, owner="openai", **more):
    return {"data": [{"id": name, "owned_by": owner, **more} for name in names]}


PROPS = {
    "total_slots": 6,
    "default_generation_settings": {"n_ctx": 4096},
    "modalities": {"vision": True, "audio": False},
    "chat_template_caps": {"supports_tools": False},
}


def stream(*, role_first=True, running=False, done=b"data: [DONE]\n\n"):
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}

    def event(choices, **more):
        whole = {"id": "c", "object": "chat.completion.chunk", "choices": choices, **more}
        return b"data: " + json.dumps(whole).encode() + b"\n\n"

    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event([choice], **({"usage": usage} if running else {}))

    start = chunk({"role": "assistant", "content": "one"} if role_first else {"content": "one"})
    return start + chunk({}, "stop") + event([], usage=usage) + done


def speaking(answers):
    """A server that gives these JSON bodies by path, bytes as streams, and 404 for the rest."""

    async def script(peer):
        request = await peer.request()
        found = answers.get(request.line.split(b" ")[1].decode())
        if found is None:
            await peer.send(sized(b"{}", status=b"404 Not Found"))
        elif isinstance(found, bytes):
            await peer.send(sized(found, fields=EVENTS))
        else:
            await peer.send(sized(json.dumps(found).encode(), fields=JSON))

    return script


async def found_at(bench, answers, model="m", **options):
    upstream = await bench.upstream(speaking(answers))
    server = server_at(f"http://127.0.0.1:{upstream.origin.port}", "sk-own")
    return await probe(bench.transport, server, model, **options)


CHAT = "/v1/chat/completions"


async def test_llamacpp_tells_slots_context_and_towers(bench):
    served = {"/v1/models": models("m", owner="llamacpp"), "/props": PROPS, CHAT: stream()}
    found = await found_at(bench, served)
    assert (found.kind, found.clean, found.problem) == ("llamacpp", True, "")
    assert (found.abilities.concurrency_max, found.abilities.context_tokens) == (6, 4096)
    assert found.abilities.features == {"json_schema", "logprobs", "choices", "image"}
    assert not found.share_prefix_cache


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
async def test_running_usage_is_used_only_where_it_was_seen(bench, kind):
    served = {"/v1/models": models("m", owner=kind, max_model_len=32_768)}
    with_it = await found_at(bench, {**served, CHAT: stream(running=True)}, concurrency_max=99)
    without = await found_at(bench, {**served, CHAT: stream()})
    assert (with_it.kind, with_it.running_usage, without.running_usage) == (kind, True, False)
    assert with_it.clean
    assert with_it.abilities.context_tokens == 32_768
    assert with_it.abilities.concurrency_max == 99


async def test_a_provider_gets_the_benefit_of_the_doubt(bench):
    found = await found_at(bench, {"/v1/models": models("m"), CHAT: stream()})
    assert (found.kind, found.clean) == ("generic", True)
    assert {"tools", "image", "json_schema"} <= found.abilities.features
    assert found.abilities.context_tokens is None


async def test_a_stream_out_of_order_is_served_event_by_event(bench):
    found = await found_at(bench, {"/v1/models": models("m"), CHAT: stream(role_first=False)})
    assert not found.clean
    assert "role" in found.remark
    assert not found.problem


async def test_framing_alone_does_not_cost_the_pass_through(bench):
    served = {"/v1/models": models("m"), CHAT: b": ping\n\n" + stream().replace(b"\n", b"\r\n")}
    assert (await found_at(bench, served)).clean


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, "status 404"),
        ({"/v1/models": ["no"]}, "does not answer as expected"),
        ({"/v1/models": {"data": []}}, "offers no model"),
        ({"/v1/models": models("m")}, "status 404"),
        ({"/v1/models": models("m", owner="llamacpp")}, "status 404"),
        ({"/v1/models": models("m", owner="llamacpp"), "/props": {}}, "not answer as expected"),
    ],
)
async def test_what_is_wrong_is_said_and_not_raised(bench, answers, words):
    found = await found_at(bench, answers)
    assert words in found.problem
    assert not found.clean
    assert "sk-own" not in found.problem


async def test_an_unreachable_server_is_said_and_not_raised(bench):
    upstream = await bench.upstream(speaking({}))
    await upstream.close()
    found = await survey(bench.transport, server_at(f"http://127.0.0.1:{upstream.origin.port}"))
    assert "cannot be reached" in found.problem
    assert found.models == ()


async def test_a_refused_key_is_named_as_such(bench):
    async def script(peer):
        await peer.request()
        await peer.send(sized(b"{}", status=b"401 No"))

    upstream = await bench.upstream(script)
    server = server_at(f"http://127.0.0.1:{upstream.origin.port}", "sk-own")
    found = await survey(bench.transport, server)
    assert "API key" in found.problem
    assert "sk-own" not in found.problem


async def test_an_endless_model_list_is_given_up(bench):
    async def script(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\n" % JSON)
        while True:
            await peer.send(b" " * 1_000_000)

    upstream = await bench.upstream(script)
    found = await survey(bench.transport, server_at(f"http://127.0.0.1:{upstream.origin.port}"))
    assert found.problem

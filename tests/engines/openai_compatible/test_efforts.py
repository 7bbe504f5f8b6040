"""Reasoning efforts a model does not take: refused, replaced, or learnt from its refusal."""

import json

import pytest

from engines.transport.upstream import sized
from portico.engines.openai_compatible.efforts import efforts_told
from portico.errors import Refusal

from .prompts import heard, prompt_of
from .test_hostile import DONE, HI, ROLE, STOP, USAGE, events
from .test_probe import CHAT, PROPS, found_at, models, stream

pytestmark = pytest.mark.anyio

SAYS = (
    "Unsupported value: 'reasoning_effort' does not support 'max' with this model. "
    "Supported values are: 'none', 'low', 'medium', and 'high'."
)
PYDANTIC = (
    "[{'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be "
    "'low', 'medium' or 'high'\", 'input': 'max', 'ctx': {'expected': \"'low', 'medium' or 'high'\"}}]"
)
NO_SUCH = "Unsupported parameter: 'reasoning_effort' is not supported with this model."


async def sent(bench, efforts, compatibility="warn", effort="max"):
    engine = await bench.engine(events(ROLE, HI, STOP, USAGE, DONE), efforts=efforts)
    prompt = prompt_of(stream=True, reasoning_effort=effort, top_k=3)
    prompt.compatibility = compatibility
    await heard(engine, prompt)
    return json.loads(bench.seen[-1].body), prompt.warnings


@pytest.mark.parametrize("efforts", [None, frozenset({"low", "max"})])
@pytest.mark.parametrize("compatibility", ["strict", "warn", "adapt"])
async def test_what_is_taken_or_not_known_passes(bench, efforts, compatibility):
    body, warnings = await sent(bench, efforts, compatibility)
    assert (body["reasoning_effort"], warnings) == ("max", [])


@pytest.mark.parametrize("compatibility", ["strict", "warn"])
async def test_what_is_not_taken_is_refused_naming_what_is(bench, compatibility):
    with pytest.raises(Refusal) as refused:
        await sent(bench, frozenset({"high", "low"}), compatibility)
    assert refused.value.field == "reasoning_effort"
    assert "takes low, high, not max" in refused.value.message
    assert bench.seen == []


async def test_a_key_that_adapts_gets_the_nearest_and_is_told(bench):
    body, warnings = await sent(bench, frozenset({"high", "low"}), "adapt")
    assert (body["reasoning_effort"], body["top_k"]) == ("high", 3)
    assert warnings == ['emulated; field="reasoning_effort"; action=mapped']


async def test_a_model_that_takes_none_is_told_none(bench):
    body, warnings = await sent(bench, frozenset())
    assert "reasoning_effort" not in body
    assert warnings == ['not_supported; field="reasoning_effort"; action=dropped']
    with pytest.raises(Refusal):
        await sent(bench, frozenset(), "strict")


async def test_null_says_nothing(bench):
    body, warnings = await sent(bench, frozenset({"low"}), effort=None)
    assert (body["reasoning_effort"], warnings) == (None, [])


def teaching(message, status=b"400 Bad Request"):
    """Refuses every effort but low in these words."""

    async def script(peer):
        request = await peer.request()
        if json.loads(request.body).get("reasoning_effort") in (None, "low"):
            await events(ROLE, HI, STOP, USAGE, DONE)(_Heard(peer))
            return
        error = json.dumps({"error": {"message": message, "code": 400}}).encode()
        await peer.send(sized(error, status=status))

    return script


class _Heard:
    """A peer whose request was read already."""

    def __init__(self, peer):
        self._peer = peer

    async def request(self):
        return self._peer.requests[-1]

    def __getattr__(self, name):
        return getattr(self._peer, name)


async def test_the_first_refusal_teaches_what_is_taken(bench):
    engine = await bench.engine(teaching("reasoning_effort: supported values are 'low'"))
    prompt = prompt_of(stream=True, reasoning_effort="max")
    prompt.compatibility = "adapt"
    assert (await heard(engine, prompt)).over
    again = prompt_of(stream=True, reasoning_effort="high")
    with pytest.raises(Refusal) as refused:
        await heard(engine, again)
    assert refused.value.code == "unsupported_feature"
    assert len(bench.seen) == 2, "what is known is not asked again"


async def test_a_server_that_contradicts_itself_is_asked_twice_at_most(bench):
    engine = await bench.engine(teaching("reasoning_effort must be one of 'max', 'high'"))
    prompt = prompt_of(stream=True, reasoning_effort="max")
    prompt.compatibility = "adapt"
    with pytest.raises(Refusal) as refused:
        await heard(engine, prompt)
    assert refused.value.code == "upstream_refused"
    assert len(bench.seen) == 2


async def test_a_refusal_of_something_else_teaches_nothing(bench):
    engine = await bench.engine(teaching("messages must be one of 'low', 'high'"))
    with pytest.raises(Refusal):
        await heard(engine, prompt_of(stream=True, reasoning_effort="max"))
    assert len(bench.seen) == 1


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (SAYS, {"none", "low", "medium", "high"}),
        (PYDANTIC, {"low", "medium", "high"}),
        (NO_SUCH, set()),
        ("Unrecognized request argument supplied: reasoning_effort", set()),
        ("reasoning_effort is wrong", None),
        ("reasoning_effort should be 'better'", None),
        ("should be 'low'", None),
        ("", None),
    ],
)
def test_what_a_refusal_says(message, told):
    known = None if told is None else frozenset(told)
    assert efforts_told(message, b'{"reasoning_effort":"max"}') == known
    assert efforts_told(message, b'{"model":"m"}') is None


@pytest.mark.parametrize(("said", "efforts"), [(False, frozenset()), (True, None), (None, None)])
async def test_llamacpp_says_whether_its_template_reads_an_effort(bench, said, efforts):
    caps = {} if said is None else {"supports_reasoning_effort": said}
    props = {**PROPS, "chat_template_caps": caps}
    served = {"/v1/models": models("m", owner="llamacpp"), "/props": props, CHAT: stream()}
    assert (await found_at(bench, served)).efforts == efforts

"""Which members of the body change on their way to which kind of server."""

import json

import pytest

from portico.engines.base import Abilities
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.request import (
    check_media,
    request_body,
    streams,
    vectors_body,
)
from portico.errors import Refusal

from .prompts import prompt_of

ABILITIES = Abilities(frozenset(), 4096, 4)
LLAMACPP = Profile("llamacpp", "alias", ABILITIES, clean=True)
VLLM = Profile("vllm", "org/model", ABILITIES, clean=True, running_usage=True)
GENERIC = Profile("generic", "gpt", ABILITIES, clean=False)

TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "time"}},
    {"type": "custom", "custom": {"name": "shell"}},
]


def changed(prompt, profile):
    """Members of the body that differ from the caller's; None: gone."""
    sent, said = json.loads(request_body(prompt, profile)), json.loads(prompt.body)
    names = sent.keys() | said.keys()
    return {name: sent.get(name) for name in names if sent.get(name) != said.get(name)}


def test_a_provider_gets_its_model_name_and_nothing_else():
    assert changed(prompt_of(), GENERIC) == {"model": "gpt"}


def test_usage_is_always_asked_for_on_a_stream():
    assert changed(prompt_of(stream=True), GENERIC)["stream_options"] == {"include_usage": True}
    assert changed(prompt_of(stream=True), VLLM)["stream_options"] == {
        "include_usage": True,
        "continuous_usage_stats": True,
    }
    assert "stream_options" not in changed(prompt_of(), VLLM)


def test_llamacpp_tells_running_counts_and_keeps_prompts_apart():
    assert changed(prompt_of(stream=True), LLAMACPP) == {
        "model": "alias",
        "stream_options": {"include_usage": True},
        "cache_prompt": False,
        "timings_per_token": True,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_cannot_reach_for_anothers_cache(stream):
    sent = changed(prompt_of(stream=stream, cache_prompt=True, id_slot=3), LLAMACPP)
    assert sent["cache_prompt"] is False
    assert sent["id_slot"] is None
    sharing = Profile("llamacpp", "alias", ABILITIES, clean=True, share_prefix_cache=True)
    assert changed(prompt_of(cache_prompt=False), sharing)["cache_prompt"] is True
    assert "cache_prompt" not in changed(prompt_of(cache_prompt=True), sharing)


def test_llamacpp_always_streams_to_us():
    """Its whole answers count one choice of several, and nothing when they are cut short."""
    sent = changed(prompt_of(), LLAMACPP)
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert streams(prompt_of(), LLAMACPP)
    assert not streams(prompt_of(), VLLM)


def test_llamacpp_makes_no_more_choices_than_it_has_slots():
    with pytest.raises(Refusal) as refused:
        request_body(prompt_of(n=5), LLAMACPP)
    assert (refused.value.code, refused.value.field, refused.value.limit) == (
        "out_of_range",
        "n",
        4,
    )


def test_a_named_tool_is_the_only_one_offered_and_required():
    choice = {"type": "function", "function": {"name": "time"}}
    sent = changed(prompt_of(tools=TOOLS, tool_choice=choice), LLAMACPP)
    assert sent["tools"] == [TOOLS[1]]
    assert sent["tool_choice"] == "required"
    assert "tools" not in changed(prompt_of(tools=TOOLS, tool_choice=choice), VLLM)


def test_allowed_tools_are_the_only_ones_offered():
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "auto",
            "tools": [
                {"type": "function", "function": {"name": "weather"}},
                {"type": "custom", "custom": {"name": "shell"}},
            ],
        },
    }
    sent = changed(prompt_of(tools=TOOLS, tool_choice=allowed), LLAMACPP)
    assert sent["tools"] == [TOOLS[0], TOOLS[2]]
    assert sent["tool_choice"] == "auto"


@pytest.mark.parametrize("choice", ["auto", "none", "required", None])
def test_other_tool_choices_pass_as_they_are(choice):
    sent = changed(prompt_of(tools=TOOLS, tool_choice=choice), LLAMACPP)
    assert "tools" not in sent
    assert "tool_choice" not in sent


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png",
        "https://a.example/x.png",
        "file:///etc/passwd",
        "//h/x",
        "HTTP://h",
    ],
)
def test_no_media_url_ever_reaches_an_engine(url):
    part = {"type": "image_url", "image_url": {"url": url}}
    asked = prompt_of(frozenset({"image"}), messages=[{"role": "user", "content": [part]}])
    with pytest.raises(Refusal) as refused:
        check_media(asked)
    assert refused.value.code == "media_url_not_supported"


def test_inline_media_passes():
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "http://127.0.0.1/ is only text"}
    messages = [{"role": "user", "content": [text, part]}, {"role": "user", "content": "x"}]
    check_media(prompt_of(frozenset({"image"}), messages=messages))


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_our_salt_stands_in_the_place_of_a_callers(kind):
    asked = prompt_of(cache_salt="x" * 9_000, extra_key="mine", priority=-9, top_k=3)
    asked.cache_salt = "ab" * 32
    sent = changed(asked, Profile(kind, "m", ABILITIES, clean=True))
    assert sent == {"model": "m", "cache_salt": "ab" * 32, "extra_key": None, "priority": None}
    assert asked.warnings == [
        f'not_supported; field="{name}"; action=dropped'
        for name in ("cache_salt", "extra_key", "priority")
    ]


@pytest.mark.parametrize("profile", [LLAMACPP, GENERIC])
def test_who_knows_no_salt_is_told_none(profile):
    asked = prompt_of(cache_salt="mine")
    asked.cache_salt = "ab" * 32
    assert changed(asked, profile)["cache_salt"] is None


def test_a_strict_key_is_told_that_a_salt_is_not_its_to_choose():
    asked = prompt_of(cache_salt="mine")
    asked.compatibility = "strict"
    with pytest.raises(Refusal) as refused:
        request_body(asked, VLLM)
    assert (refused.value.code, refused.value.field) == ("unsupported_feature", "cache_salt")


def test_a_strangers_fields_are_its_own_affair():
    assert changed(prompt_of(priority=3, request_id="r"), GENERIC) == {"model": "gpt"}


@pytest.mark.parametrize("name", ["bootstrap_host", "kv_transfer_params", "logits_processors"])
def test_nobody_reaches_into_an_engine(name):
    assert changed(prompt_of(**{name: "x"}), VLLM)[name] is None


def test_vectors_are_salted_too():
    asked = prompt_of(input="one", cache_salt="mine")
    asked.dialect, asked.cache_salt = "openai_embeddings", "ab" * 32
    sent = json.loads(vectors_body(asked, VLLM))
    assert (sent["cache_salt"], sent["input"], sent["model"]) == ("ab" * 32, "one", "org/model")

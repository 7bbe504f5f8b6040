"""The same in Messages, with Anthropic's SDK."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.tools import servers
from tests.whole.conftest import Served, end, start
from tests.whole.test_remote_tools import ON, calling

BETA = ["mcp-client-2025-11-20"]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("tools") / "data", "--simulated", env=ON)
    yield running
    end(running)


@pytest.fixture(scope="module")
def client(door: Served) -> Iterator[anthropic.Anthropic]:
    key = door.cli("key", "create", "--scopes", "generate,tools:remote")["api_key"]
    base_url = door.base_url.removesuffix("/v1")
    with anthropic.Anthropic(api_key=key, base_url=base_url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def remote() -> Iterator[servers.Remote]:
    with servers.real() as remote:
        yield remote


def fields(remote: servers.Remote, words: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "sim-tool",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": words}],
        "mcp_servers": [{"type": "url", "url": remote.url, "name": "thing"}],
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "thing"}],
        "betas": BETA,
        **more,
    }


def ask(client: anthropic.Anthropic, remote: servers.Remote, words: str, **more: Any) -> Any:
    return client.beta.messages.create(**fields(remote, words, **more))


def kinds(message: Any) -> list[str]:
    return [block.type for block in message.content]


def test_the_model_calls_a_tool_and_is_told_what_it_gave(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    made = ask(client, remote, calling("add", a=2, b=3))
    assert kinds(made) == ["mcp_tool_use", "mcp_tool_result", "text"]
    use, result, said = made.content
    assert (use.name, use.server_name, use.input) == ("add", "thing", {"a": 2, "b": 3})
    assert (result.tool_use_id, result.is_error) == (use.id, False)
    assert result.content[0].text == "5"
    assert "5" in said.text
    assert made.stop_reason == "end_turn"


def test_a_stream_has_one_order_of_blocks(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    asked = fields(remote, calling("add", a=2, b=3))
    with client.beta.messages.stream(**asked) as stream:
        events = list(stream)
        made = stream.get_final_message()
    begun = [event.index for event in events if event.type == "content_block_start"]
    ended = [event.index for event in events if event.type == "content_block_stop"]
    assert begun == ended == [0, 1, 2]
    assert [event.type for event in events].count("message_start") == 1
    assert kinds(made) == ["mcp_tool_use", "mcp_tool_result", "text"]
    assert made.content[0].input == {"a": 2, "b": 3}


def test_a_conversation_goes_on(client: anthropic.Anthropic, remote: servers.Remote) -> None:
    words = calling("add", a=2, b=3)
    first = ask(client, remote, words)
    history = [
        {"role": "user", "content": words},
        {"role": "assistant", "content": [block.model_dump() for block in first.content]},
        {"role": "user", "content": "And now?"},
    ]
    second = ask(client, remote, "", messages=history, model="sim-echo")
    assert second.content[0].text == "And now?"


def test_only_what_a_toolset_enables_is_called(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    remote.calls.clear()
    only = {
        "type": "mcp_toolset",
        "mcp_server_name": "thing",
        "default_config": {"enabled": False},
        "configs": {"add": {"enabled": True}},
    }
    made = ask(client, remote, "Delete it.", tools=[only], tool_choice={"type": "any"})
    assert made.content[0].name == "add"
    all_but = {
        "type": "mcp_toolset",
        "mcp_server_name": "thing",
        "configs": {name: {"enabled": False} for name in ("add", "broken", "large", "wait")},
    }
    made = ask(client, remote, "Add it.", tools=[all_but], tool_choice={"type": "any"})
    assert made.content[0].name == "delete"


def test_the_first_version_of_the_beta(client: anthropic.Anthropic, remote: servers.Remote) -> None:
    old = {
        "type": "url",
        "url": remote.url,
        "name": "thing",
        "tool_configuration": {"enabled": True, "allowed_tools": ["add"]},
    }
    made = ask(client, remote, calling("add", a=1, b=1), mcp_servers=[old], tools=[])
    assert made.content[1].content[0].text == "2"


def test_a_tool_of_the_callers_own_ends_the_run(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    toolset = {"type": "mcp_toolset", "mcp_server_name": "thing"}
    own = {"name": "mine", "input_schema": {"type": "object"}}
    made = ask(client, remote, "[[sim call=mine]] Go.", tools=[toolset, own])
    assert (kinds(made), made.stop_reason) == (["tool_use"], "tool_use")


def test_a_server_that_is_not_there_is_said(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    gone = [{"type": "url", "url": "http://127.0.0.1:9/mcp", "name": "thing"}]
    asked = fields(remote, "Hello", mcp_servers=gone, model="sim-echo")
    raw = client.beta.messages.with_raw_response.create(**asked)
    assert 'server_unreachable; field="mcp_servers[0]"' in raw.headers["portico-warnings"]
    assert raw.parse().content[0].text == "Hello"


def test_why_a_server_offers_nothing_is_the_warning(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    elsewhere = [{"type": "url", "url": "ftp://example.com/mcp", "name": "thing"}]
    asked = fields(remote, "Hello", mcp_servers=elsewhere, model="sim-echo")
    raw = client.beta.messages.with_raw_response.create(**asked)
    assert raw.headers["portico-warnings"].startswith('server_refused; field="mcp_servers[0]"')


def test_a_run_that_ends_early_is_paused(
    client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    words = '[[sim call=thing__add calls=7 args={"a":1,"b":1}]] Go.'
    made = ask(client, remote, words)
    assert made.stop_reason == "pause_turn"
    assert all(
        block.is_error and "not_called" in block.content[0].text
        for block in made.content
        if block.type == "mcp_tool_result"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"mcp_servers": [{"type": "url", "name": "thing"}]}, "mcp_servers[0].url"),
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "no"}]}, "tools[0].mcp_server_name"),
        ({"mcp_servers": 5}, "mcp_servers"),
    ],
)
def test_what_is_wrong_is_named(
    client: anthropic.Anthropic, remote: servers.Remote, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        ask(client, remote, "Hello", **more)
    assert said in refused.value.message


def test_where_the_operator_did_not_open_it_it_is_dropped_and_said(
    served: Served, remote: servers.Remote
) -> None:
    base_url = served.base_url.removesuffix("/v1")
    asked = fields(remote, "Hello", model="sim-echo")
    with anthropic.Anthropic(api_key=served.api_key, base_url=base_url, max_retries=0) as closed:
        raw = closed.beta.messages.with_raw_response.create(**asked)
    assert "mcp_servers" in raw.headers["portico-warnings"]


def test_a_key_that_does_not_name_the_scope_is_refused(
    door: Served, client: anthropic.Anthropic, remote: servers.Remote
) -> None:
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        ask(client.with_options(api_key=door.api_key), remote, "Hello")
    assert "tools:remote" in refused.value.message

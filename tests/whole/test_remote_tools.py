"""Tools of remote MCP servers: a model calls them, through the door, with OpenAI's SDK."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.dialects.openai_responses.streams import check_response, check_stream
from tests.tools import servers
from tests.whole.conftest import Served, end, start
from tests.whole.test_keys import rates, until
from tests.whole.wire import eventually

ON = {
    "PORTICO_TOOLS_ENABLED": "true",
    "PORTICO_TOOLS_PRIVATE_ALLOWED": "true",
    "PORTICO_TOOLS_ROUNDS_MAX": "4",
    "PORTICO_TOOLS_CALLS_MAX": "6",
    "PORTICO_TOOLS_CALL_S": "5",
    "PORTICO_TOOLS_RESULT_BYTES_MAX": "100000",
}


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("tools") / "data", "--simulated", env=ON)
    yield running
    end(running)


@pytest.fixture(scope="module")
def client(open_door: Served) -> Iterator[openai.OpenAI]:
    scopes = "generate,responses,tools:remote"
    key = open_door.cli("key", "create", "--scopes", scopes)["api_key"]
    with openai.OpenAI(api_key=key, base_url=open_door.base_url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def remote() -> Iterator[servers.Remote]:
    with servers.real() as remote:
        yield remote


def tool(remote: servers.Remote, **more: Any) -> dict[str, Any]:
    named = {"type": "mcp", "server_label": "thing", "server_url": remote.url}
    return {**named, "require_approval": "never", **more}


def ask(client: openai.OpenAI, remote: servers.Remote, words: str, **more: Any) -> Any:
    fields = {"model": "sim-tool", "input": words, "tools": [tool(remote)], **more}
    return client.responses.create(**fields)


def calling(tool_name: str, /, **arguments: Any) -> str:
    return (
        f"[[sim call=thing__{tool_name} args={json.dumps(arguments, separators=(',', ':'))}]] Go."
    )


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def test_the_model_calls_a_tool_and_is_told_what_it_gave(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    made = ask(client, remote, calling("add", a=2, b=3))
    assert kinds(made) == ["mcp_list_tools", "mcp_call", "message"]
    listed, call, _ = made.output
    assert {each.name for each in listed.tools} >= {"add", "delete", "wait"}
    assert (call.name, call.output, call.error) == ("add", "5", None)
    assert json.loads(call.arguments) == {"a": 2, "b": 3}
    assert made.status == "completed"
    assert "5" in made.output_text


@pytest.mark.parametrize("json_response", [False, True], ids=["events", "json"])
def test_a_stream_has_one_order_of_events(client: openai.OpenAI, json_response: bool) -> None:
    with servers.real(json_response=json_response) as remote:
        events = list(ask(client, remote, calling("add", a=4, b=5), stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    told = [event.type for event in events]
    assert told[:2] == ["response.created", "response.in_progress"]
    assert told[-1] == "response.completed"
    of_call = [kind for kind in told if "mcp_call" in kind]
    assert of_call == [
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.completed",
    ]
    added = [event for event in events if event.type == "response.output_item.added"]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in added] == [event.output_index for event in done]
    assert [event.output_index for event in added] == list(range(len(added)))
    final = events[-1].response
    assert [event.item.id for event in done] == [item.id for item in final.output]
    assert kinds(final) == ["mcp_list_tools", "mcp_call", "message"]


def test_usage_is_that_of_all_rounds_and_each_has_its_record(
    open_door: Served, client: openai.OpenAI, remote: servers.Remote
) -> None:
    before = len(open_door.cli("usage", "--list", "1000")["records"])
    made = ask(client, remote, calling("add", a=1, b=1))
    records = open_door.cli("usage", "--list", "1000")["records"]
    fresh = records[: len(records) - before]
    assert [each["outcome"] for each in fresh] == ["completed", "completed"]
    assert sum(each["output_tokens"] for each in fresh) == made.usage.output_tokens
    assert sum(each["input_tokens"] for each in fresh) == made.usage.input_tokens


def test_a_call_waits_for_its_caller_and_is_made_once_allowed(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    remote.calls.clear()
    careful = [tool(remote, require_approval="always")]
    first = ask(client, remote, calling("delete", name="a"), tools=careful)
    assert kinds(first) == ["mcp_list_tools", "mcp_approval_request"]
    assert remote.calls == []
    asked = first.output[-1]
    answer = {"type": "mcp_approval_response", "approval_request_id": asked.id, "approve": True}
    second = ask(client, remote, [answer], previous_response_id=first.id, tools=careful)
    assert kinds(second) == ["mcp_call", "message"]
    assert second.output[0].approval_request_id == asked.id
    assert remote.calls == [("delete", {"name": "a"})]
    third = ask(
        client, remote, "And?", previous_response_id=second.id, tools=careful, model="sim-echo"
    )
    assert third.output_text == "And?"
    assert remote.calls == [("delete", {"name": "a"})]


def test_what_is_not_allowed_is_not_called(client: openai.OpenAI, remote: servers.Remote) -> None:
    remote.calls.clear()
    careful = [tool(remote, require_approval="always")]
    first = ask(client, remote, calling("delete", name="a"), tools=careful)
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": first.output[-1].id,
        "approve": False,
        "reason": "not this one",
    }
    second = ask(client, remote, [answer], previous_response_id=first.id, tools=careful)
    assert remote.calls == []
    assert "not this one" in second.output_text


@pytest.mark.parametrize(
    ("member", "value"),
    [("arguments", '{"name":"everything"}'), ("name", "add"), ("id", "mcpr_forged.abc")],
)
def test_an_approval_is_for_those_words_only(
    client: openai.OpenAI, remote: servers.Remote, member: str, value: str
) -> None:
    remote.calls.clear()
    careful = [tool(remote, require_approval="always")]
    first = ask(client, remote, calling("delete", name="a"), tools=careful, store=False)
    asked = first.output[-1].model_dump() | {member: value}
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": asked["id"],
        "approve": True,
    }
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, remote, [asked, answer], tools=careful)
    assert refused.value.code == "sealed_item_invalid"
    assert remote.calls == []


def test_an_approval_sent_back_unchanged_is_as_good_as_one_kept(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    remote.calls.clear()
    careful = [tool(remote, require_approval="always")]
    first = ask(client, remote, calling("delete", name="b"), tools=careful, store=False)
    asked = first.output[-1].model_dump()
    answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": True}
    items = [{"role": "user", "content": "Delete b."}, asked, answer]
    second = ask(client, remote, items, tools=careful, store=False)
    assert remote.calls == [("delete", {"name": "b"})]
    assert "deleted b" in second.output_text
    with servers.real() as other, pytest.raises(openai.BadRequestError):
        ask(client, other, items, tools=[tool(other, require_approval="always")])


def test_some_calls_need_no_approval(client: openai.OpenAI, remote: servers.Remote) -> None:
    mixed = [tool(remote, require_approval={"never": {"tool_names": ["add"]}})]
    assert kinds(ask(client, remote, calling("add", a=1, b=2), tools=mixed))[1] == "mcp_call"
    waits = ask(client, remote, calling("delete", name="c"), tools=mixed)
    assert kinds(waits)[1] == "mcp_approval_request"


def test_only_tools_that_are_allowed_are_offered(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    few = ask(client, remote, calling("add", a=1, b=2), tools=[tool(remote, allowed_tools=["add"])])
    assert [each.name for each in few.output[0].tools] == ["add"]
    reading = tool(remote, allowed_tools={"read_only": True})
    safe = ask(client, remote, calling("add", a=1, b=2), tools=[reading])
    assert [each.name for each in safe.output[0].tools] == ["add"]


def test_a_function_of_the_callers_own_ends_the_run(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    own = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}
    made = ask(client, remote, "[[sim call=mine]] Go.", tools=[tool(remote), own])
    assert kinds(made) == ["mcp_list_tools", "function_call"]
    both = ask(
        client,
        remote,
        '[[sim call=thing__add calls=2 args={"a":1,"b":1}]] Go.',
        tools=[tool(remote, allowed_tools=["add"]), own],
    )
    assert sorted(kinds(both)) == ["function_call", "mcp_call", "mcp_list_tools"]
    result = {
        "type": "function_call_output",
        "output": "done",
        "call_id": next(each.call_id for each in both.output if each.type == "function_call"),
    }
    after = ask(client, remote, [result], previous_response_id=both.id, tools=[tool(remote), own])
    assert after.output_text == "done"


def test_a_key_that_does_not_name_the_scope_is_refused(
    open_door: Served, remote: servers.Remote
) -> None:
    with (
        openai.OpenAI(
            api_key=open_door.api_key, base_url=open_door.base_url, max_retries=0
        ) as client,
        pytest.raises(openai.PermissionDeniedError) as refused,
    ):
        ask(client, remote, "Hello")
    assert refused.value.code == "permission_denied"
    assert "tools:remote" in str(refused.value)


def test_where_the_operator_did_not_open_it_nothing_is_called(
    served: Served, remote: servers.Remote
) -> None:
    remote.heads.clear()
    key = served.cli("key", "create", "--scopes", "generate,tools:remote")["api_key"]
    with openai.OpenAI(api_key=key, base_url=served.base_url, max_retries=0) as client:
        made = ask(client, remote, "Hello", model="sim-echo")
    assert made.output_text == "Hello"
    assert remote.heads == []


def test_secrets_reach_their_server_and_are_kept_nowhere(
    open_door: Served, client: openai.OpenAI, remote: servers.Remote
) -> None:
    remote.heads.clear()
    secret = "s3cr3t-0123456789"
    named = tool(remote, authorization=secret, headers={"X-Mine": f"x-{secret}"})
    named["server_url"] = f"{remote.url}?key=q-{secret}"
    made = ask(client, remote, calling("add", a=1, b=2), tools=[named], store=True)
    assert remote.heads[0]["authorization"] == f"Bearer {secret}"
    assert remote.heads[0]["x-mine"] == f"x-{secret}"
    assert secret not in made.model_dump_json()
    assert secret not in client.responses.retrieve(made.id).model_dump_json()
    for path in open_door.data_dir.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_nobody_could_call_them_later(client: openai.OpenAI, remote: servers.Remote) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, remote, "Hello", background=True)
    assert refused.value.param == "background"


def test_a_run_ends_at_its_rounds_and_keeps_what_was_made(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    looping = '[[sim call=thing__add args={"a":1,"b":1}]]'
    made = ask(
        client,
        remote,
        "Go on for ever.",
        instructions=looping,
        max_tool_calls=2,
        input=[{"role": "user", "content": f"{looping} [[sim calls=3]] Go."}],
    )
    assert made.status == "incomplete"
    assert made.incomplete_details.reason == "max_tool_calls"
    assert made.model_extra["portico_stop_reason"] == "max_tool_calls"
    calls = [each for each in made.output if each.type == "mcp_call"]
    assert len(calls) == 3
    assert all("not_called" in each.error.message for each in calls)
    assert client.responses.retrieve(made.id).status == "incomplete"


def test_sent_twice_it_runs_once(client: openai.OpenAI, remote: servers.Remote) -> None:
    remote.calls.clear()
    headers = {"Idempotency-Key": "the-same-run"}
    first, second = (
        ask(client, remote, calling("delete", name="once"), extra_headers=headers) for _ in range(2)
    )
    assert first.id == second.id
    assert remote.calls == [("delete", {"name": "once"})]


def test_a_hostile_server_costs_no_answer(client: openai.OpenAI) -> None:
    def answering(connection: socket.socket, message: dict[str, Any], head: bytes) -> None:
        if not servers.polite(connection, message):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 500_000
            )

    with servers.hostile(answering) as remote:
        made = ask(client, remote, calling("trap"))
    assert kinds(made) == ["mcp_list_tools", "mcp_call", "message"]
    assert made.output[1].error.message.startswith("result_too_large")
    assert made.status == "completed"


def test_a_server_that_is_not_there_offers_nothing(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    gone = {"type": "mcp", "server_label": "gone", "server_url": "http://127.0.0.1:9/mcp"}
    made = ask(client, remote, "Hello", tools=[gone, tool(remote)], model="sim-echo")
    assert made.output_text == "Hello"
    by_label = {each.server_label: each for each in made.output if each.type == "mcp_list_tools"}
    assert by_label["gone"].error.startswith("server_unreachable")
    assert by_label["gone"].tools == []
    assert not by_label["thing"].error


def test_a_tool_that_fails_is_told_to_the_model(
    client: openai.OpenAI, remote: servers.Remote
) -> None:
    made = ask(client, remote, calling("broken"))
    assert made.output[1].error.type == "mcp_tool_execution_error"
    assert made.output[1].error.content == [{"type": "text", "text": "Error executing tool broken"}]
    assert made.output[1].output is None
    assert made.output[1].status == "failed"
    assert made.status == "completed"


def test_hanging_up_ends_the_call_and_nothing_more_is_made(
    open_door: Served, client: openai.OpenAI
) -> None:
    before = len(open_door.cli("usage", "--list", "1000")["records"])
    with servers.real() as remote:
        stream = ask(client, remote, calling("wait"), stream=True)
        made = next(iter(stream)).response
        assert remote.waiting.wait(20)
        stream.close()
        assert remote.cancelled.wait(20) or remote.hold.is_set()
    eventually(lambda: client.responses.retrieve(made.id).status == "cancelled")
    records = open_door.cli("usage", "--list", "1000")["records"]
    assert len(records) == before + 1
    kept = client.responses.retrieve(made.id)
    assert kinds(kept) == ["mcp_list_tools", "mcp_call"]
    assert kept.output[1].status == "incomplete"


def test_hanging_up_while_the_model_speaks_leaves_one_record_of_that(
    open_door: Served, client: openai.OpenAI, remote: servers.Remote
) -> None:
    stream = ask(client, remote, "[[sim tokens=500 delay_ms=20]]", stream=True, model="sim-echo")
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()

    def outcomes() -> list[str]:
        return [each["outcome"] for each in open_door.cli("usage", "--list", "1")["records"]]

    eventually(lambda: outcomes() == ["client_gone"])


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {"PORTICO_TOOLS_ROUNDS_MAX": "1", "PORTICO_TOOLS_SERVERS_MAX": "1"}
    folder = tmp_path_factory.mktemp("narrow") / "data"
    running = start(folder, "--simulated", env={**ON, **limits})
    yield running
    end(running)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hasty") / "data"
    running = start(folder, "--simulated", env={**ON, "PORTICO_TOOLS_RUN_S": "1"})
    yield running
    end(running)


def client_of(served: Served) -> openai.OpenAI:
    key = served.cli("key", "create", "--scopes", "generate,responses,tools:remote")["api_key"]
    return openai.OpenAI(api_key=key, base_url=served.base_url, max_retries=0)


def test_rounds_end_at_their_limit(narrow: Served, remote: servers.Remote) -> None:
    remote.calls.clear()
    with client_of(narrow) as client:
        made = ask(client, remote, calling("add", a=1, b=1), stream=False)
        assert made.status == "incomplete"
        assert made.model_extra["portico_stop_reason"] == "tools.rounds_max"
        assert made.output[1].error.message == "not_called: tools.rounds_max is reached."
        assert remote.calls == []
        assert made.usage.output_tokens > 0
        two = [tool(remote), tool(remote, server_label="again")]
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, remote, "Hello", tools=two)
        assert refused.value.param == "tools[1]"


def test_a_run_ends_with_its_time(hasty: Served) -> None:
    with servers.real() as remote, client_of(hasty) as client:
        made = ask(client, remote, calling("wait"))
        assert made.status == "incomplete"
        assert made.model_extra["portico_stop_reason"] == "tools.run_s"
        assert made.output[1].error.message.startswith("run_timeout")
        assert client.responses.retrieve(made.id).status == "incomplete"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"server_url": None}, "tools[0].server_url"),
        ({"server_label": "two words"}, "tools[0].server_label"),
        ({"headers": {"Host": "other"}}, "tools[0].headers"),
        ({"headers": {"X-A": "a\r\nx: y"}}, "tools[0].headers"),
        ({"require_approval": "sometimes"}, "tools[0].require_approval"),
        ({"allowed_tools": 5}, "tools[0].allowed_tools"),
        ({"connector_id": "connector_gmail", "server_url": None}, "tools[0].connector_id"),
        ({"tunnel_id": "tunnel_1", "server_url": None}, "tools[0].tunnel_id"),
    ],
)
def test_what_is_wrong_with_a_server_is_named(
    client: openai.OpenAI, remote: servers.Remote, more: dict[str, Any], param: str
) -> None:
    said = {name: value for name, value in tool(remote, **more).items() if value is not None}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, remote, "Hello", tools=[said])
    assert refused.value.param == param


def test_over_a_socket_it_is_the_same(open_door: Served, remote: servers.Remote) -> None:
    with client_of(open_door) as client, client.responses.connect() as connection:
        connection.response.create(
            model="sim-tool", input=calling("add", a=2, b=2), tools=[tool(remote)], store=False
        )
        events = [connection.recv()]
        while events[-1].type not in ("response.completed", "error"):
            events.append(connection.recv())
    assert kinds(events[-1].response) == ["mcp_list_tools", "mcp_call", "message"]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_an_approval_of_another_project_is_none(
    open_door: Served, client: openai.OpenAI, remote: servers.Remote
) -> None:
    remote.calls.clear()
    careful = [tool(remote, require_approval="always")]
    first = ask(client, remote, calling("delete", name="z"), tools=careful, store=False)
    asked = first.output[-1].model_dump()
    answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": True}
    other = open_door.cli("project", "create", "other")["id"]
    key = open_door.cli("key", "create", "--project", other, "--scopes", "generate,tools:remote")
    with (
        openai.OpenAI(api_key=key["api_key"], base_url=open_door.base_url, max_retries=0) as them,
        pytest.raises(openai.BadRequestError) as refused,
    ):
        ask(them, remote, [asked, answer], tools=careful)
    assert refused.value.code == "sealed_item_invalid"
    assert remote.calls == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_later_round_that_is_refused_loses_nothing(
    open_door: Served, remote: servers.Remote, stream: bool
) -> None:
    remote.calls.clear()
    scopes = ("--scopes", "generate,responses,balance:read,tools:remote")
    key = open_door.cli("key", "create", *scopes)
    open_door.cli("limit", "set", key["id"], "--requests", "1", "--model", "sim-tool")
    with openai.OpenAI(
        api_key=key["api_key"], base_url=open_door.base_url, max_retries=0
    ) as client:
        until(lambda: rates(open_door, key["api_key"]), 1)
        made = ask(client, remote, calling("delete", name="one"), stream=stream)
        if stream:
            told = iter(made)
            first = next(told).response
            with pytest.raises(openai.APIError):
                list(told)
            made = client.responses.retrieve(first.id)
        assert made.status == "failed"
        assert stream or made.error.code == "rate_limit_exceeded"
        assert kinds(made) == ["mcp_list_tools", "mcp_call"]
        assert made.output[1].output == "deleted one"
        assert made.usage.output_tokens > 0
        assert client.responses.retrieve(made.id).status == "failed"
    assert remote.calls == [("delete", {"name": "one"})]


def test_the_answer_is_what_clients_read(open_door: Served, remote: servers.Remote) -> None:
    key = open_door.cli("key", "create", "--scopes", "generate,tools:remote")["api_key"]
    fields = {
        "model": "sim-tool",
        "input": calling("add", a=1, b=2),
        "tools": [tool(remote)],
        "stream": True,
    }
    with httpx2.Client(timeout=30) as client:
        answer = client.post(
            f"{open_door.base_url}/responses",
            json=fields,
            headers={"Authorization": f"Bearer {key}"},
        )
    events = check_stream(answer.content)
    check_response(events[-1]["response"])


def test_a_real_engine_is_told_and_tells(client: openai.OpenAI, remote: servers.Remote) -> None:
    made = ask(
        client,
        remote,
        "What is 17 plus 25? Use the tool.",
        model="portico-demo",
        tools=[tool(remote, allowed_tools=["add"])],
        tool_choice={"type": "mcp", "server_label": "thing"},
        temperature=0,
        max_output_tokens=300,
    )
    (call,) = [item for item in made.output if item.type == "mcp_call"]
    assert (json.loads(call.arguments), call.output) == ({"a": 17, "b": 25}, "42")
    assert made.output[-1].type == "message"
    assert "42" in made.output_text

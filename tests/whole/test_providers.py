"""Every SDK against every outbound dialect.

A front serves models that another Portico provides: through its Chat, Messages, Gemini and
Responses endpoints.  So whatever a caller says is written in a provider's dialect, read as that
dialect's callers are read, and the answer comes back the same way.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from portico.callers.pepper import read_peppers
from portico.cli.model import Kind
from portico.db.database import connect_database
from portico.kit.clock import SystemClock
from portico.routing.keys import seal_of, sealed_key
from tests.routing.registered import Registry
from tests.whole.conftest import FOLLOWS, Served, end, portico, start
from tests.whole.wire import eventually, get, metric

LIGHT = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_DRAIN_S": "0"}
KINDS: tuple[Kind, ...] = ("openai", "anthropic", "gemini", "openai-responses")
MODELS = ("sim-echo", "sim-tool", "sim-reasoning", "sim-json")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMA = {**CITY, "additionalProperties": False}


@dataclass
class Estate:
    provider: Served
    front: Served

    @property
    def root(self) -> str:
        return self.front.base_url.removesuffix("/v1")

    def used(self, model: str) -> tuple[int, int, int]:
        """Requests, input tokens and output tokens of a model at the front so far."""
        rows = json.loads(get(self.front, "/v1/usage")[2])["data"]
        for row in rows:
            if row["model"] == model:
                return row["requests"], row["input_tokens"], row["output_tokens"]
        return 0, 0, 0


def add(front: Served, name: str, kind: str, provider: Served, key: str, *words: str) -> str:
    """Register a model whose key comes over standard input; its deployment id."""
    url = provider.base_url if "openai" in kind else provider.base_url.removesuffix("/v1")
    done = portico(
        *("model", "add", name, "--kind", kind, "--url", url, "--api-key-stdin"),
        *("--data-dir", str(front.data_dir), "--json", *words),
        typed=key + "\n",
    )
    assert done.returncode == 0, done.stderr
    assert key not in done.stdout + done.stderr
    id = json.loads(done.stdout)["id"]
    assert isinstance(id, str)
    return id


def register(front: Served, kind: Kind, model: str, provider: Served) -> None:
    """The same, without a process for each."""
    Registry(connect_database(front.data_dir, ""), SystemClock()).add(
        model=f"{kind}.{model}",
        location=provider.base_url,
        engine="openai_compatible" if kind == "openai" else kind,
        upstream_model=model,
        sealed=partial(sealed_key, seal_of(read_peppers(front.data_dir)), api_key=provider.api_key),
    )


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    folder = tmp_path_factory.mktemp("providers")
    provider = start(folder / "provider", "--simulated", env=LIGHT)
    front = start(folder / "front", env={**FOLLOWS, **LIGHT})
    try:
        for kind in KINDS:
            for model in MODELS:
                register(front, kind, model, provider)
        eventually(lambda: metric(front, "portico_deployments_ready") == len(KINDS) * len(MODELS))
        yield Estate(provider, front)
    finally:
        for served in (front, provider):
            end(served)


@dataclass
class Said:
    """What an SDK understood.  usage: input and output tokens, as the SDK tells them."""

    text: str = ""
    thought: str = ""
    call: tuple[str, dict[str, Any]] = ("", {})
    usage: tuple[int, int] = (0, 0)


@dataclass
class Chat:
    """The official OpenAI SDK, on Chat Completions."""

    sdk: openai.OpenAI

    def ask(self, model: str, text: str, *, stream: bool, tool: bool, **more: Any) -> Said:
        history: list[Any] = [{"role": "user", "content": text}]
        if tool:
            function = {"name": "weather", "description": "Tells.", "parameters": CITY}
            more |= {"tools": [{"type": "function", "function": function}]}
        if "schema" in more:
            form = {"name": "answer", "schema": more.pop("schema")}
            more |= {"response_format": {"type": "json_schema", "json_schema": form}}
        said = self._once(model, history, stream, more)
        if tool and said.call[0]:
            history += self._history
            return self._once(model, history, stream, {})
        return said

    def _once(self, model: str, history: list[Any], stream: bool, more: dict[str, Any]) -> Said:
        if stream:
            with self.sdk.chat.completions.stream(
                model=model, messages=history, stream_options={"include_usage": True}, **more
            ) as running:
                for _ in running:
                    pass
                answer: Any = running.get_final_completion()
        else:
            answer = self.sdk.chat.completions.create(model=model, messages=history, **more)
        message = answer.choices[0].message
        said = Said(message.content or "", getattr(message, "reasoning_content", "") or "")
        said.usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        for call in message.tool_calls or ():
            said.call = (call.function.name, json.loads(call.function.arguments))
            calls = [{"id": call.id, "type": "function", "function": _function(call)}]
            self._history = [
                {"role": "assistant", "content": None, "tool_calls": calls},
                {"role": "tool", "tool_call_id": call.id, "content": "sunny today"},
            ]
        return said


def _function(call: Any) -> dict[str, str]:
    return {"name": call.function.name, "arguments": call.function.arguments}


@dataclass
class Responses:
    """The official OpenAI SDK, on Responses."""

    sdk: openai.OpenAI

    def ask(self, model: str, text: str, *, stream: bool, tool: bool, **more: Any) -> Said:
        history: list[Any] = [{"role": "user", "content": text}]
        if tool:
            function = {"name": "weather", "description": "Tells.", "parameters": CITY}
            more |= {"tools": [{"type": "function", "strict": False, **function}]}
        if "schema" in more:
            form = {"type": "json_schema", "name": "answer", "schema": more.pop("schema")}
            more |= {"text": {"format": form}}
        answer = self._once(model, history, stream, more)
        calls = [item for item in answer.output if item.type == "function_call"]
        if tool and calls:
            history += [item.model_dump(exclude_none=True) for item in answer.output]
            told = {"call_id": calls[0].call_id, "output": "sunny today"}
            history.append({"type": "function_call_output", **told})
            answer = self._once(model, history, stream, {})
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        thought = "".join(part.text for item in thoughts for part in item.summary)
        thought += "".join(part.text for item in thoughts for part in item.content or ())
        usage = (answer.usage.input_tokens, answer.usage.output_tokens)
        return Said(answer.output_text, thought, usage=usage)

    def _once(self, model: str, history: list[Any], stream: bool, more: dict[str, Any]) -> Any:
        said = {"model": model, "input": history, "store": False, **more}
        if not stream:
            return self.sdk.responses.create(**said)
        with self.sdk.responses.stream(**said) as running:
            for _ in running:
                pass
            return running.get_final_response()


@dataclass
class Messages:
    """The official Anthropic SDK."""

    sdk: anthropic.Anthropic

    def ask(self, model: str, text: str, *, stream: bool, tool: bool, **more: Any) -> Said:
        history: list[Any] = [{"role": "user", "content": text}]
        if tool:
            more |= {"tools": [{"name": "weather", "description": "T.", "input_schema": CITY}]}
        if "schema" in more:
            form = {"type": "json_schema", "schema": more.pop("schema")}
            more |= {"output_config": {"format": form}}
        answer = self._once(model, history, stream, more)
        calls = [block for block in answer.content if block.type == "tool_use"]
        if tool and calls:
            history.append({"role": "assistant", "content": answer.content})
            result = {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny today"}
            history.append({"role": "user", "content": [result]})
            answer = self._once(model, history, stream, {"tools": more["tools"]})
        said = Said("".join(b.text for b in answer.content if b.type == "text"))
        said.thought = "".join(b.thinking for b in answer.content if b.type == "thinking")
        said.usage = (answer.usage.input_tokens, answer.usage.output_tokens)
        return said

    def _once(self, model: str, history: list[Any], stream: bool, more: dict[str, Any]) -> Any:
        said = {"model": model, "max_tokens": 2_000, "messages": history, **more}
        if not stream:
            return self.sdk.messages.create(**said)
        with self.sdk.messages.stream(**said) as running:
            return running.get_final_message()


@dataclass
class Gemini:
    """The official Google SDK."""

    sdk: genai.Client

    def ask(self, model: str, text: str, *, stream: bool, tool: bool, **more: Any) -> Said:
        history: list[Any] = [types.Content(role="user", parts=[types.Part(text=text)])]
        config: dict[str, Any] = {"thinking_config": {"include_thoughts": True}}
        if tool:
            function = {"name": "weather", "description": "T.", "parameters_json_schema": CITY}
            config["tools"] = [{"function_declarations": [function]}]
        if "schema" in more:
            config["response_mime_type"] = "application/json"
            config["response_json_schema"] = more.pop("schema")
        parts, usage = self._once(model, history, stream, config)
        calls = [part.function_call for part in parts if part.function_call]
        if tool and calls:
            history.append(types.Content(role="model", parts=parts))
            reply = {"weather": "sunny today"}
            told = types.FunctionResponse(id=calls[0].id, name=calls[0].name, response=reply)
            history.append(types.Content(role="user", parts=[types.Part(function_response=told)]))
            parts, usage = self._once(model, history, stream, config)
        said = Said("".join(part.text or "" for part in parts if not part.thought), usage=usage)
        said.thought = "".join(part.text or "" for part in parts if part.thought)
        return said

    def _once(
        self, model: str, history: list[Any], stream: bool, config: dict[str, Any]
    ) -> tuple[list[Any], tuple[int, int]]:
        asked: Any = {"model": model, "contents": history, "config": config}
        models = self.sdk.models
        chunks = (
            list(models.generate_content_stream(**asked))
            if stream
            else [models.generate_content(**asked)]
        )
        parts = [
            part
            for chunk in chunks
            for candidate in chunk.candidates or ()
            for part in (candidate.content and candidate.content.parts) or ()
        ]
        told: Any = chunks[-1].usage_metadata
        made = (told.candidates_token_count or 0) + (told.thoughts_token_count or 0)
        return parts, (told.prompt_token_count, made)


Client = Chat | Responses | Messages | Gemini


@pytest.fixture(params=["chat", "responses", "messages", "gemini"])
def client(request: pytest.FixtureRequest, estate: Estate) -> Iterator[Client]:
    made = _client(request.param, estate)
    yield made
    made.sdk.close()


def _client(name: str, estate: Estate) -> Client:
    key = estate.front.api_key
    limits: dict[str, Any] = {"api_key": key, "max_retries": 0, "timeout": 30}
    if name == "messages":
        return Messages(anthropic.Anthropic(base_url=estate.root, **limits))
    if name == "gemini":
        options = types.HttpOptions(base_url=estate.root)
        return Gemini(genai.Client(api_key=key, http_options=options))
    sdk = openai.OpenAI(base_url=estate.front.base_url, **limits)
    return Chat(sdk) if name == "chat" else Responses(sdk)


each = pytest.mark.parametrize("kind", KINDS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@each
@streamed
def test_words_and_usage(client: Client, estate: Estate, kind: str, stream: bool) -> None:
    model = f"{kind}.sim-echo"
    before = estate.used(model)
    said = client.ask(model, "Héllo 😀 there", stream=stream, tool=False)
    assert "Héllo 😀 there" in said.text
    requests, inputs, outputs = (
        now - then for now, then in zip(estate.used(model), before, strict=True)
    )
    assert requests == 1
    assert said.usage == (inputs, outputs), "the caller is told what is on record"
    assert inputs > 0 < outputs


@each
@streamed
def test_a_tool_is_called_and_its_result_understood(
    client: Client, kind: str, stream: bool
) -> None:
    said = client.ask(f"{kind}.sim-tool", "What is the weather?", stream=stream, tool=True)
    assert "sunny today" in said.text


@each
@streamed
def test_thoughts_are_told(client: Client, kind: str, stream: bool) -> None:
    more: dict[str, Any] = {}
    if isinstance(client, Messages):
        more = {"thinking": {"type": "adaptive", "display": "summarized"}}
    if isinstance(client, Responses):
        more = {"reasoning": {"effort": "high", "summary": "auto"}}
    if isinstance(client, Chat):
        more = {"reasoning_effort": "high"}
    said = client.ask(f"{kind}.sim-reasoning", "Think!", stream=stream, tool=False, **more)
    assert said.text
    shown = kind == "openai" or not isinstance(client, Chat)
    assert said.thought or not shown, "what a provider shows, a caller sees"


@each
@streamed
def test_an_answer_follows_its_schema(client: Client, kind: str, stream: bool) -> None:
    said = client.ask(f"{kind}.sim-json", "Where?", stream=stream, tool=False, schema=SCHEMA)
    assert set(json.loads(said.text)) == {"city"}


@each
@streamed
def test_a_provider_that_fails_fails_in_the_callers_words(
    client: Client, kind: str, stream: bool
) -> None:
    with pytest.raises(Exception) as failed:  # noqa: PT011 - each SDK has its own
        client.ask(
            f"{kind}.sim-echo", "[[sim fault=cut fail_after=3 tokens=9]]", stream=stream, tool=False
        )
    assert type(failed.value).__module__.split(".")[0] in ("openai", "anthropic", "google")


# --- keys ------------------------------------------------------------------------------------------


def test_a_kept_key_is_nowhere_to_be_read(estate: Estate) -> None:
    front, key = estate.front, estate.provider.api_key
    listed = json.dumps(front.cli("model", "list"))
    assert "sealed" not in listed
    assert '"key_kept": true' in listed
    database = connect_database(front.data_dir, "")
    sql = "SELECT sealed_key FROM deployment"
    sealed = database.read(lambda c: c.exec_driver_sql(sql).scalars().all())
    assert len(set(sealed)) == len(sealed) == len(KINDS) * len(MODELS), "one key, sealed for each"
    for file in front.data_dir.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), file
    for path in ("/v1/models", "/metrics"):
        assert key.encode() not in get(front, path)[2]
    examined = json.dumps(examined_by_doctor(front.data_dir))
    assert key not in examined
    assert "pt1." not in examined


def examined_by_doctor(data_dir: Path) -> Any:
    done = portico("doctor", "--data-dir", str(data_dir), "--json")
    assert "pt1." not in done.stderr
    return json.loads(done.stdout)


def test_a_key_is_rotated_while_the_server_runs(
    serve: Callable[..., Served], estate: Estate, tmp_path: Path
) -> None:
    front = serve(data_dir=tmp_path / "front", env=LIGHT)
    said = ("--upstream-model", "sim-echo")
    add(front, "mine", "anthropic", estate.provider, "a-wrong-key", *said)
    done = portico(
        *("model", "rotate-key", "mine", "--data-dir", str(front.data_dir)),
        typed=estate.provider.api_key,
    )
    assert done.returncode == 0, done.stderr
    eventually(lambda: metric(front, "portico_deployments_ready") == 1)
    with openai.OpenAI(
        base_url=front.base_url, api_key=front.api_key, max_retries=0, timeout=30
    ) as sdk:
        assert "Hi there" in Chat(sdk).ask("mine", "Hi there", stream=False, tool=False).text


@each
@streamed
def test_what_a_provider_answered_is_kept_here_and_followed(
    estate: Estate, kind: Kind, stream: bool
) -> None:
    """Also where its own words went through: it is asked to keep nothing, and knows no id of ours."""
    with openai.OpenAI(
        base_url=estate.front.base_url, api_key=estate.front.api_key, max_retries=0
    ) as sdk:
        asked: Any = {"reasoning": {"effort": "low", "summary": "auto"}}
        first = _answered(sdk, stream, model=f"{kind}.sim-reasoning", input="Why?", **asked)
        kept = sdk.responses.retrieve(first.id)
        assert [item.id for item in kept.output] == [item.id for item in first.output]
        assert (kept.output_text, kept.to_dict()["store"]) == (first.output_text, True)
        second = _answered(
            *(sdk, stream), model=f"{kind}.sim-echo", input="And?", previous_response_id=first.id
        )
        assert (second.status, second.previous_response_id) == ("completed", first.id)
        assert second.usage.input_tokens > first.usage.input_tokens
        tool: Any = {"type": "function", "strict": False, "name": "weather", "parameters": CITY}
        calling = _answered(
            *(sdk, stream), model=f"{kind}.sim-tool", input="Weather?", tools=[tool]
        )
        (call,) = (item for item in calling.output if item.type == "function_call")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        last = _answered(
            sdk,
            stream,
            model=f"{kind}.sim-echo",
            input=[result],
            previous_response_id=calling.id,
        )
        assert last.status == "completed"


def _answered(sdk: openai.OpenAI, stream: bool, **asked: Any) -> Any:
    if not stream:
        return sdk.responses.create(**asked)
    with sdk.responses.stream(**asked) as running:
        for _ in running:
            pass
        return running.get_final_response()

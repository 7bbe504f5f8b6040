"""Scoring a GGUF file through the engine that serves it: chat template, tool parser and all.

Every probe is a fresh dialogue whose last turn is known. `train` probes use the templates, names
and cities of the training side; `held` probes use only templates, names, cities, tools and JSON
domains that no training text contains. Greedy decoding, so a file has one score.
"""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
import stories
import talk
import toolcalls
import xllamacpp  # type: ignore[import-untyped]  # the wheel ships no stubs
from dialogue import Dialogue, Json, render
from extract import composed, extract
from faq import faq
from words import Draw, Split

PROBES = 200
LONG_STORY_TOKENS = 200
_KEY = "evaluation"


@dataclass(frozen=True, slots=True)
class Row:
    """One skill of the score table and the least share of right answers it must reach, in percent.

    A floor of None is shown and not gated. `by_schema` sends a JSON schema for the answer along.
    """

    name: str
    make: Callable[[Draw], Dialogue]
    floor_train: int | None
    floor_held: int | None
    by_schema: bool = False


ROWS = (
    Row("FAQ answer, exact", faq, 98, 70),
    Row("tool call, name and arguments exact", toolcalls.one_call, 95, 60),
    Row("two or three tool calls, all exact", toolcalls.parallel_calls, 90, 60),
    Row("no tool call where none is needed", toolcalls.tools_not_needed, 98, 90),
    Row("says that a tool is missing", toolcalls.no_such_tool, 95, 60),
    Row("tool result put into words", toolcalls.use_result, 85, 50),
    Row("two or three tool results put into words", toolcalls.use_results, 85, 50),
    Row("JSON extraction, exact", extract, 90, 50),
    Row("JSON from composed sentences, exact", composed, 90, 50),
    Row("JSON by a schema, values exact", extract, 90, 50, by_schema=True),
    Row("repeats text, exact", talk.repeat, 80, 60),
    Row("remembers a name, exact", talk.remember, 90, 60),
    Row("small talk, exact", talk.small_talk, 98, 60),
    Row("says that it does not know", talk.unknown, 95, 60),
    Row("counts to n, exact", talk.count, 95, 70),
    Row("short story, ends well", stories.short_story, 95, 80),
    Row("long story, over 200 tokens, ends well", stories.long_story, 90, 60),
    Row("small addition, exact", talk.add, None, None),
)


def load(path: Path) -> xllamacpp.Server:
    """The file in the engine, in this process, one slot and one thread."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [_KEY]
    parameters.n_parallel = 1
    parameters.n_ctx = 4096
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.cache_ram_mib = 0
    parameters.warmup = False
    parameters.verbosity = -1
    return xllamacpp.Server(parameters)


def as_request(dialogue: Dialogue) -> Json:
    """The chat request that asks for the last turn of a dialogue."""
    messages: list[Json] = []
    for message in dialogue.messages[:-1]:
        sent: Json = {"role": message.role, "content": message.content}
        if message.calls:
            sent["tool_calls"] = [
                {
                    "id": f"call_{at}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(values, ensure_ascii=False)},
                }
                for at, (name, values) in enumerate(message.calls)
            ]
        if message.role == "tool":
            sent["tool_call_id"] = "call_0"
        messages.append(sent)
    request: Json = {"messages": messages, "temperature": 0, "max_tokens": 800}
    if dialogue.tools:
        request["tools"] = [{"type": "function", "function": tool} for tool in dialogue.tools]
        request["parallel_tool_calls"] = True
    return request


def _schema_format(answer: str) -> Json:
    """The `response_format` that asks for an object with the fields of this one."""
    names = {int: "integer", float: "number", str: "string"}
    properties = {key: {"type": names[type(value)]} for key, value in json.loads(answer).items()}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "facts", "strict": True, "schema": schema},
    }


def _answer(server: xllamacpp.Server, dialogue: Dialogue, by_schema: bool) -> Json:
    request = as_request(dialogue)
    if by_schema:
        request["response_format"] = _schema_format(dialogue.messages[-1].content)
    answer: Any = server.handle_chat_completions(request)
    if "error" in answer:
        raise RuntimeError(f"the engine refused a probe: {answer['error']}")
    return dict(answer)


def _said(answer: Json) -> tuple[str, list[tuple[str, Any]]]:
    """The content and the calls (name, arguments) of an answer."""
    message = answer["choices"][0]["message"]
    calls = []
    for call in message.get("tool_calls") or []:
        try:
            values = json.loads(call["function"]["arguments"])
        except ValueError:
            values = None
        calls.append((call["function"]["name"], values))
    return message.get("content") or "", calls


def _is_right(dialogue: Dialogue, answer: Json) -> bool:
    content, calls = _said(answer)
    wanted = dialogue.messages[-1]
    if dialogue.skill == "long story" and answer["usage"]["completion_tokens"] < LONG_STORY_TOKENS:
        return False
    if not dialogue.exact:
        return answer["choices"][0]["finish_reason"] == "stop" and content.endswith("The end.")
    return content == wanted.content and calls == list(wanted.calls)


def check_template(server: xllamacpp.Server) -> None:
    """Compare what the engine makes of messages with what was trained on.

    Raises RuntimeError at the first difference, since every score would be too low for no reason.
    """
    for row in ROWS:
        for dialogue in corpus.probes(row.make, "train", 5):
            body = json.dumps(as_request(dialogue)).encode()
            headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"}
            url = f"{server.listening_address}/apply-template"
            with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as reply:
                made = json.load(reply)["prompt"]
            if not render(dialogue).startswith(made):
                raise RuntimeError(f"template differs:\n{made!r}\n{render(dialogue)!r}")


def score(server: xllamacpp.Server, row: Row, split: Split) -> tuple[float, list[str]]:
    """The percentage right, and what was asked, wanted and said for those that were not."""
    wrong: list[str] = []
    for dialogue in corpus.probes(row.make, split, PROBES):
        answer = _answer(server, dialogue, row.by_schema)
        if not _is_right(dialogue, answer):
            wrong.append(
                f"asked  {dialogue.messages[-2].content!r}\n"
                f"wanted {dialogue.messages[-1]!r}\nsaid   {_said(answer)!r}"
            )
    return 100 * (PROBES - len(wrong)) / PROBES, wrong


Scores = dict[str, dict[str, float]]


def score_all(path: Path, wrong_file: Path) -> Scores:
    """Scores by row name and side; every wrong answer is written to `wrong_file`."""
    server = load(path)
    check_template(server)
    scores: Scores = {}
    with wrong_file.open("w", encoding="utf-8") as out:
        for row in ROWS:
            scores[row.name] = {}
            for split in ("train", "held"):
                percent, wrong = score(server, row, split)
                scores[row.name][split] = percent
                out.writelines(f"## {row.name}, {split}\n{text}\n\n" for text in wrong)
            print(f"  {row.name}: {scores[row.name]}", flush=True)
    return scores


def failures(scores: Scores) -> list[str]:
    """One line for every score below its floor."""
    return [
        f"{row.name}, {split}: {scores[row.name][split]:g} % is below {floor} %"
        for row in ROWS
        for split, floor in (("train", row.floor_train), ("held", row.floor_held))
        if floor is not None and scores[row.name][split] < floor
    ]

"""What each model says: a conversation and its parameters in, the parts of one answer out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from portico import errors
from portico.canon.conversation import Conversation, Tool, ToolResult
from portico.engines.simulated.filler import filler
from portico.engines.simulated.parameters import Parameters, without_tags
from portico.engines.simulated.schema.instance import Steps, instance
from portico.engines.simulated.schema.values import NoInstance
from portico.engines.simulated.tokens import item_text

EFFORT_TOKENS = {
    "none": 0,
    "minimal": 16,
    "low": 64,
    "medium": 256,
    "high": 1_024,
    "xhigh": 2_048,
    "max": 4_096,
}
_NAME_WORD = re.compile(r"[A-Z][a-z]{3,}|[a-z]{4,}|[A-Z]{4,}")
_SPOKEN_WORD = re.compile(r"[a-z]{4,}")
_REFUSAL = "I am sorry, but I cannot help with that."


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class Declined:
    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call.  `text` is the JSON of its arguments; free text where `custom`."""

    id: str
    name: str
    text: str
    custom: bool = False


Part = Thought | Said | Declined | Called


@dataclass(frozen=True, slots=True)
class Scene:
    """What one choice is made from.  `steps` is shared by all choices of the request."""

    conversation: Conversation
    told: Parameters
    rng: Random
    steps: Steps


Voice = Callable[[Scene], tuple[Part, ...]]


def echo(scene: Scene) -> tuple[Part, ...]:
    """The last user message, or `tokens` of filler where that many are asked for."""
    if scene.told.tokens is not None:
        return (Said(filler(scene.told.tokens, scene.rng)),)
    message = scene.conversation.last("user")
    return (Said(without_tags(message.text) if message else ""),)


def tools(scene: Scene) -> tuple[Part, ...]:
    """Calls; in words after a tool's answer, and where no tool may be called."""
    start = _start(scene, any_will_do=True)
    if start is None:
        return _reply(scene)
    return _calls(scene, start)


def json(scene: Scene) -> tuple[Part, ...]:
    """An instance of the schema asked for, else an object with the echo in it."""
    schema = scene.conversation.output_schema
    if schema:
        return (Said(_written(_instance(schema, "the answer's schema", None, scene))),)
    (said,) = echo(scene)
    return (Said(_written({"answer": said.text})),)


def reasoning(scene: Scene) -> tuple[Part, ...]:
    tokens = scene.told.reasoning
    if tokens is None:
        tokens = EFFORT_TOKENS.get(scene.conversation.effort, EFFORT_TOKENS["medium"])
    return (Thought(filler(tokens, scene.rng)), *_reply(scene))


def refusal(scene: Scene) -> tuple[Part, ...]:
    return (Declined(_REFUSAL),)


def auto(scene: Scene) -> tuple[Part, ...]:
    """Whatever the request asks: reasoning, then a tool call, JSON or words."""
    tokens = scene.told.reasoning
    if tokens is None:
        tokens = EFFORT_TOKENS.get(scene.conversation.effort, 0)
    if tokens:
        thought, *_ = reasoning(scene)
        return (thought, *_acted(scene))
    return _acted(scene)


def tools_or_json(scene: Scene) -> tuple[Part, ...]:
    voice = tools if scene.conversation.tools else json
    return voice(scene)


def _acted(scene: Scene) -> tuple[Part, ...]:
    start = _start(scene, any_will_do=False)
    if start is not None:
        return _calls(scene, start)
    if scene.conversation.output_schema is not None:
        return json(scene)
    return _reply(scene)


def _reply(scene: Scene) -> tuple[Part, ...]:
    """An echo of what came last: of a tool's answer if that is what it was."""
    if scene.told.tokens is None and _answers_tool(scene.conversation):
        return (Said(item_text(scene.conversation.items[-1])),)
    return echo(scene)


def _answers_tool(conversation: Conversation) -> bool:
    return bool(conversation.items) and isinstance(conversation.items[-1], ToolResult)


def _start(scene: Scene, *, any_will_do: bool) -> int | None:
    """Which tool is called first, None for none.

    A forced call is made in any case.  Free to choose, nothing is called after a tool's answer,
    or an agent would go on for ever.
    """
    conversation = scene.conversation
    offered, choice = conversation.tools, conversation.tool_choice
    if choice == "none" or not offered:
        return None
    if choice not in ("auto", "required"):
        return _named(offered, choice)
    if choice == "auto" and _answers_tool(conversation):
        return None
    if scene.told.call is not None:
        return _named(offered, scene.told.call)
    matching = _best_match(offered, conversation)
    if matching is None and (any_will_do or choice == "required"):
        return 0
    return matching


def _named(offered: tuple[Tool, ...], name: str) -> int:
    for at, tool in enumerate(offered):
        if tool.name == name:
            return at
    raise errors.INVALID_VALUE(
        f"'tool_choice', or the parameter 'call', is {name[:80]!r}, which is not among the tools.",
        field="tool_choice",
        value=name[:80],
        limit=[tool.name for tool in offered][:20],
    )


def _best_match(offered: tuple[Tool, ...], conversation: Conversation) -> int | None:
    """The tool most words of whose name, of four letters or more, the user said."""
    message = conversation.last("user")
    said = set(_SPOKEN_WORD.findall(without_tags(message.text).lower())) if message else set()
    scores = [
        len(said.intersection(word.lower() for word in _NAME_WORD.findall(tool.name)))
        for tool in offered
    ]
    best = max(scores)
    return scores.index(best) if best else None


def _calls(scene: Scene, start: int) -> tuple[Part, ...]:
    """`calls` calls: of the forced tool, or of the tools in turn; one where no more may be made."""
    offered = scene.conversation.tools
    if scene.conversation.tool_choice not in ("auto", "required"):
        offered, start = (offered[start],), 0
    count = 1 if scene.conversation.parallel_calls is False else scene.told.calls
    turns = range(start, start + count)
    return tuple(_call(offered[turn % len(offered)], scene) for turn in turns)


def _call(tool: Tool, scene: Scene) -> Called:
    call_id = f"call_{scene.rng.getrandbits(96):024x}"
    if scene.told.args is not None:
        return Called(call_id, tool.name, scene.told.args, tool.custom)
    if tool.custom:
        asked = scene.conversation.last("user")
        text = without_tags(asked.text) if asked else ""
        return Called(call_id, tool.name, text, custom=True)
    schema = tool.parameters | {"type": "object"}
    arguments = _instance(schema, f"the parameters of tool {tool.name!r}", "tools", scene)
    return Called(call_id, tool.name, _written(arguments))


def _instance(schema: dict[str, Any], whose: str, field: str | None, scene: Scene) -> Any:
    try:
        return instance(schema, scene.rng, scene.steps)
    except NoInstance as missing:
        raise errors.INVALID_SCHEMA(
            f"The simulated engine cannot satisfy {whose}: at {missing.place[:200]}, "
            f"{missing.why}.",
            field=field,
            value=missing.place[:200],
        ) from missing


def _written(value: Any) -> str:
    return msgspec.json.encode(value).decode()

"""Which cells the matrix has, and why some are empty.  Nothing here runs anything."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.matrix.ways import WAYS, Way

CLIENTS = {
    "openai_chat": ("openai", "Chat Completions"),
    "openai_responses": ("openai", "Responses"),
    "anthropic_messages": ("anthropic", "Messages"),
    "gemini": ("google-genai", "Gemini"),
}
"""By the name of its module here: the SDK, and what is spoken with it."""

SCENARIOS = {
    "text": "two turns under a system prompt; what the SDK reads as usage is what was recorded",
    "tools": "the model calls a tool, reads its answer, and goes on in words",
    "parallel tools": "two calls in one turn, two answers",
    "forced tool": "of two tools, the named one is called",
    "json schema": "the answer is JSON by the schema",
    "images": "a picture is taken, a spoilt one refused",
    "reasoning": "thoughts are shown, counted, and taken back in the next turn",
    "stop": "at a stop sequence, and at the cap on tokens",
    "n": "two answers to one question",
    "logprobs": "a log probability for each token, and for two others at its place",
    "long context": "a long prompt is read; more than the context holds is refused with the numbers",
    "cancel": "whoever hangs up gives the place back; a stream is billed up to there",
    "errors": "wrong key, model and value, too many requests: each in the SDK's own class",
}


@dataclass(frozen=True)
class Engine:
    """model: for every scenario.  instead: for some.  obeys: reads `[[sim ...]]` in a prompt.
    words_many: a long prompt.  words_too_many: more than fit."""

    name: str
    model: str
    instead: dict[str, str]
    obeys: bool
    words_many: int
    words_too_many: int

    def model_for(self, scenario: str) -> str:
        return self.instead.get(scenario, self.model)

    def told(self, parameters: str) -> str:
        """What to add to a prompt, so that a simulated model does this."""
        return f" [[sim {parameters}]]" if self.obeys else ""


SIMULATED = Engine(
    "simulated",
    "sim-auto",
    {"reasoning": "sim-reasoning", "cancel": "sim-stall"},
    obeys=True,
    words_many=20_000,
    words_too_many=130_000,
)
EMBEDDED = Engine("embedded", "portico-demo", {}, obeys=False, words_many=300, words_too_many=5_000)
ENGINES = {engine.name: engine for engine in (SIMULATED, EMBEDDED)}

_NO_FIELD = "The protocol has no such field."
_TEXT_ONLY = (
    "The demo model reads text only; `tests/engines/embedded/test_media.py` shows pictures to the same "
    "engine, through a tower of random weights."
)
_NO_THOUGHTS = "The demo model was not trained to think before it answers."

EMPTY: dict[tuple[str | None, str, str | None], str] = {
    ("openai_responses", "stop", None): _NO_FIELD,
    ("openai_responses", "n", None): _NO_FIELD,
    ("anthropic_messages", "n", None): _NO_FIELD,
    ("anthropic_messages", "logprobs", None): _NO_FIELD,
    (None, "images", "embedded"): _TEXT_ONLY,
    (None, "reasoning", "embedded"): _NO_THOUGHTS,
}
"""(client, scenario, engine), None for all of them: why nothing is run there."""


@dataclass(frozen=True)
class Cell:
    client: str
    scenario: str
    engine: str

    def __str__(self) -> str:
        return f"{self.client}, {self.scenario}, {self.engine}"

    @property
    def why_empty(self) -> str:
        """ "" where it is run."""
        for (client, scenario, engine), reason in EMPTY.items():
            if (
                client in (None, self.client)
                and scenario == self.scenario
                and engine in (None, self.engine)
            ):
                return reason
        return ""


ALL = tuple(Cell(*names) for names in product(CLIENTS, SCENARIOS, ENGINES))


def running() -> Iterator[tuple[Cell, Way]]:
    """Everything that is run, with each release of an SDK."""
    return ((cell, way) for cell in ALL if not cell.why_empty for way in WAYS)


def empty() -> Iterator[Cell]:
    return (cell for cell in ALL if cell.why_empty)

"""What the simulated engine says to a prompt: a plan of deltas, made before the first is sent.

The same prompt and seed give the same plan.  Nothing here waits; `engine.py` does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from random import Random

from portico import errors
from portico.canon.conversation import Conversation
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.trimming import fitted
from portico.canon.usage import Meters
from portico.dialects.losses import Losses
from portico.engines.simulated import malformed, tokens
from portico.engines.simulated.logprobs import Logprobs
from portico.engines.simulated.models import Model
from portico.engines.simulated.parameters import Parameters, read
from portico.engines.simulated.schema.instance import Steps
from portico.engines.simulated.shaping import Answer, shaped
from portico.engines.simulated.speech import Called, Declined, Said, Scene, Thought

CONTEXT_TOKENS = 128_000
"""Input and output together."""
FILLER_TOKENS_MAX = 200_000
"""Of all choices of a request together."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One delta and the step it comes at.  Choices advance together, one chunk each per step."""

    step: int
    delta: Delta


@dataclass(frozen=True, slots=True)
class Script:
    told: Parameters
    input_tokens: int
    answers: tuple[Answer, ...]
    logprobs: tuple[Logprobs | None, ...]

    def beats(self) -> Iterator[Beat]:
        """Every delta of the answer, each with the running total of what was made so far.
        To be read once."""
        live = {
            choice: _chunks(answer, choice, self.logprobs[choice], self.told.chunk)
            for choice, answer in enumerate(self.answers)
        }
        made = _Made(self.input_tokens, min(self.told.cached, self.input_tokens))
        step = 0
        while live:
            for choice, chunks in list(live.items()):
                events = next(chunks, None)
                if events is not None:
                    made.count(events)
                    yield Beat(step, Delta(events=_joined(events), meters=made.meters()))
                    continue
                del live[choice]
                made.text += self.answers[choice].unsaid_tokens
                # The end needs no step of its own: it is known with the last token.
                yield Beat(max(step - 1, 0), self._end(choice, made, last=not live))
            step += 1

    def _end(self, choice: int, made: "_Made", *, last: bool) -> Delta:
        answer = self.answers[choice]
        return Delta(
            events=(Finished(answer.finish, choice, answer.sequence),),
            meters=made.meters(),
            last=last,
            finish=self.answers[0].finish if last or choice == 0 else "",
        )


class _Made:
    """The running total of one request."""

    def __init__(self, input_tokens: int, cached: int) -> None:
        self._fresh = input_tokens - cached
        self._cached = cached
        self.text = 0
        self.reasoning = 0

    def count(self, events: list[Event]) -> None:
        """One token per event: that is how answers are cut up."""
        thought = sum(isinstance(event, Reasoning) for event in events)
        self.reasoning += thought
        self.text += len(events) - thought

    def meters(self) -> Meters:
        return Meters(
            input_text=self._fresh,
            input_cache_read=self._cached,
            output_text=self.text,
            output_reasoning=self.reasoning,
        )


def write(prompt: Prompt, name: str, model: Model) -> Script:
    """What `model`, called `name`, will answer.

    Raises: Refusal: a wrong simulation parameter, a schema nothing satisfies, context_length; what
    the dialect could not express, for a strict key.
    """
    conversation = prompt.conversation()
    Losses(prompt.compatibility).declare(prompt, conversation)
    conversation = fitting(prompt, conversation)
    told = read(conversation, prompt.hints, model.defaults)
    input_tokens = count_input(conversation, prompt.output_tokens_max, name)
    room = CONTEXT_TOKENS - input_tokens
    output_tokens_max = min(room, prompt.output_tokens_max or room)
    check_amount(told, prompt.choices)
    chance = _chance(conversation, told, name)
    steps = Steps()
    said = [
        model.voice(Scene(conversation, told, Random(f"{chance} {choice}"), steps))
        for choice in range(prompt.choices)
    ]
    if told.fault == "unfinished_json":
        said = [malformed.unfinished(parts) for parts in said]
    answers: list[Answer] = []
    for choice, parts in enumerate(said):
        # A long echo is the same for every choice; it need not be cut up for each.
        same = choice > 0 and parts == said[choice - 1]
        answers.append(answers[-1] if same else shaped(parts, output_tokens_max, conversation.stop))
    return Script(told, input_tokens, tuple(answers), _logprobs(conversation, prompt, chance))


def fitting(prompt: Prompt, conversation: Conversation) -> Conversation:
    """Where the caller wants the oldest turns to go rather than be refused, without those."""
    around = replace(conversation, items=())
    room = CONTEXT_TOKENS - (prompt.output_tokens_max or 1)
    room -= sum(map(tokens.count, tokens.prompt_texts(around)))
    return fitted(prompt, conversation, room, tokens.of_item)


def check_amount(told: Parameters, choices: int) -> None:
    """Raises: Refusal, when all choices together ask for more filler than is made at once."""
    filler_tokens = ((told.tokens or 0) + (told.reasoning or 0)) * choices
    if filler_tokens > FILLER_TOKENS_MAX:
        raise errors.OUT_OF_RANGE(
            f"The simulation parameters 'tokens' and 'reasoning' ask for {filler_tokens} tokens "
            f"in {choices} choices; together they may ask for {FILLER_TOKENS_MAX}.",
            field="sim.tokens",
            value=filler_tokens,
            limit=FILLER_TOKENS_MAX,
        )


def count_input(conversation: Conversation, output_tokens_max: int | None, name: str) -> int:
    """Tokens of the prompt, tags included: exactly what was sent.

    Raises: Refusal: context_length_exceeded, when it leaves no room for the answer asked for.
    """
    texts = tokens.prompt_texts(conversation)
    wanted = output_tokens_max or 1
    # A text this long cannot fit; counting megabytes exactly would hold up every other stream.
    least = sum(map(len, texts)) // tokens.TOKEN_CHARACTERS_MAX
    if least + wanted > CONTEXT_TOKENS:
        raise _too_long(name, f"at least {least}", least, wanted)
    exact = sum(map(tokens.count, texts)) + tokens.MESSAGE_TOKENS * len(conversation.items)
    if exact + wanted > CONTEXT_TOKENS:
        raise _too_long(name, str(exact), exact, wanted)
    return exact


def _too_long(name: str, said: str, input_tokens: int, wanted: int) -> errors.Refusal:
    return errors.CONTEXT_LENGTH(
        f"The prompt has {said} tokens and asks for {wanted} of output; {name!r} has a context "
        f"of {CONTEXT_TOKENS} tokens for both together.",
        field="messages",
        value=input_tokens + wanted,
        limit=CONTEXT_TOKENS,
    )


def _chance(conversation: Conversation, told: Parameters, name: str) -> str:
    """What everything random here grows from: seed, model and prompt, nothing else."""
    seed = told.seed if told.seed is not None else conversation.sampling.seed or 0
    heard = blake2b(digest_size=8)
    for item in conversation.items:
        heard.update(f"{tokens.item_text(item)}\0".encode("utf-8", "surrogatepass"))
    return f"{name} {seed} {heard.hexdigest()}"


def _logprobs(
    conversation: Conversation, prompt: Prompt, chance: str
) -> tuple[Logprobs | None, ...]:
    top = conversation.top_logprobs
    if top is None:
        return (None,) * prompt.choices
    return tuple(
        Logprobs(top, Random(f"{chance} {choice} logprobs")) for choice in range(prompt.choices)
    )


def _chunks(
    answer: Answer, choice: int, logprobs: Logprobs | None, chunk: int
) -> Iterator[list[Event]]:
    events = _events(answer, choice, logprobs)
    while taken := list(islice(events, chunk)):
        yield taken


def _events(answer: Answer, choice: int, logprobs: Logprobs | None) -> Iterator[Event]:
    """One event per token."""
    calls = 0
    for part in answer.parts:
        match part:
            case Thought(text):
                yield from (Reasoning(token, choice) for token in tokens.split(text))
            case Declined(text):
                yield from (Refused(token, choice) for token in tokens.split(text))
            case Said(text):
                yield from _text(text, choice, logprobs)
            case Called(id, name, text, custom):
                yield ToolCallBegan(calls, id, name, choice, custom)
                yield from (ToolArguments(calls, token, choice) for token in tokens.split(text))
                calls += 1


def _text(text: str, choice: int, logprobs: Logprobs | None) -> Iterator[Text]:
    for token in tokens.split(text):
        yield Text(token, choice, None if logprobs is None else (logprobs.entry(token),))


def _joined(events: list[Event]) -> tuple[Event, ...]:
    """The same with neighbours of a kind in one."""
    joined: list[Event] = []
    for event in events:
        both = _as_one(joined[-1], event) if joined else None
        if both is None:
            joined.append(event)
        else:
            joined[-1] = both
    return tuple(joined)


def _as_one(before: Event, event: Event) -> Event | None:
    """`before` and `event`, of the same choice, as one event; None where they are two."""
    match before, event:
        case Text() as one, Text() as two:
            entries = (*one.logprobs, *two.logprobs) if one.logprobs and two.logprobs else None
            return Text(one.text + two.text, one.choice, entries)
        case (Reasoning() as one, Reasoning() as two) | (Refused() as one, Refused() as two):
            return replace(one, text=one.text + two.text)
        case ToolArguments() as one, ToolArguments() as two:  # another call would begin between
            return replace(one, json=one.json + two.json)
    return None

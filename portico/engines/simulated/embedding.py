"""`sim-embed`: vectors without a model.  The same text has the same vector, always."""

import asyncio
from hashlib import blake2b
from math import sqrt
from random import Random

from portico import errors
from portico.canon.delta import Delta
from portico.canon.embedding import Embedded, Input, packed
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.dialects.losses import Losses
from portico.engines.base import Abilities, Relay
from portico.engines.simulated import tokens
from portico.engines.simulated.engine import CONCURRENCY_MAX, Sleep, break_off
from portico.engines.simulated.models import AS_ASKED
from portico.engines.simulated.parameters import read
from portico.kit.clock import Clock

NAME = "sim-embed"
DIMENSIONS = 64
DIMENSIONS_MAX = 4_096
INPUT_TOKENS_MAX = 8_192
"""Of one text."""
NUMBERS_MAX = 1_048_576
"""Of one answer: all its vectors together."""
_VECTORS_PER_TURN = 16
"""Made on the event loop: the streams beside it go on this often."""
_FAILS = ("cut", "stall", "error")


class SimulatedEmbedder:
    """Implements engines/base.Engine.  Obeys the parameters that say when and whether an answer
    comes, in a header or in the last text."""

    def __init__(
        self,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        concurrency_max: int = CONCURRENCY_MAX,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self.abilities = Abilities(frozenset({"embeddings"}), INPUT_TOKENS_MAX, concurrency_max)

    @property
    def ready(self) -> bool:
        return True

    async def generate(self, prompt: Prompt, relay: Relay) -> None:
        """Raises: Refusal: a wrong parameter, context_length_exceeded, words asked for, or the
        error asked for; UpstreamFailed, when asked to fail."""
        if prompt.to_embed is None:
            raise errors.UNSUPPORTED_FEATURE(
                f"The model {prompt.model!r} makes vectors and no words.",
                field="model",
                value=prompt.model,
                limit=["embeddings"],
            )
        asked = prompt.to_embed()
        dimensions = asked.dimensions or DIMENSIONS
        _check_amount(len(asked.inputs), dimensions)
        read_tokens = sum(_count(at, each) for at, each in enumerate(asked.inputs))
        conversation = prompt.conversation()
        told = read(conversation, prompt.hints, AS_ASKED)
        Losses(prompt.compatibility).declare(prompt, conversation)
        await self._sleep(told.due_s(0))
        if told.fault in _FAILS:
            await break_off(told, 0)
        vectors = []
        for at, each in enumerate(asked.inputs):
            vectors.append(Embedded(at, vector_of(each, dimensions)))
            if at % _VECTORS_PER_TURN == _VECTORS_PER_TURN - 1:
                await self._sleep(0)
        meters = Meters(input_text=read_tokens)
        await relay(Delta(vectors=tuple(vectors), meters=meters, last=True, finish="stop"))

    async def count(self, prompt: Prompt) -> int | None:
        if prompt.to_embed is None:
            return None
        return sum(_count(at, each) for at, each in enumerate(prompt.to_embed().inputs))

    async def close(self) -> None:
        """There is nothing to close."""


def vector_of(text: Input, dimensions: int) -> bytes:
    """A unit vector that depends on `text` alone; its first numbers are the same, up to their
    length, however many are asked for."""
    said = text if isinstance(text, str) else repr(text)
    digest = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    chance = Random(digest)
    numbers = [chance.gauss(0.0, 1.0) for _ in range(dimensions)]
    length = sqrt(sum(number * number for number in numbers)) or 1.0
    return packed([number / length for number in numbers])


def _count(at: int, text: Input) -> int:
    """Tokens of one text, exactly.  Raises: Refusal: context_length_exceeded."""
    if isinstance(text, str):
        least = len(text) // tokens.TOKEN_CHARACTERS_MAX
        found = least if least > INPUT_TOKENS_MAX else tokens.count(text)
    else:
        found = len(text)
    if found > INPUT_TOKENS_MAX:
        raise errors.CONTEXT_LENGTH(
            f"Input {at} has at least {found} tokens; {NAME!r} takes {INPUT_TOKENS_MAX} in one "
            "text.",
            field="input",
            value=found,
            limit=INPUT_TOKENS_MAX,
        )
    return found


def _check_amount(inputs: int, dimensions: int) -> None:
    most = min(DIMENSIONS_MAX, NUMBERS_MAX // inputs)
    if dimensions > most:
        raise errors.OUT_OF_RANGE(
            f"'dimensions' is {dimensions}; for {inputs} inputs {NAME!r} makes at most {most}.",
            field="dimensions",
            value=dimensions,
            limit=most,
        )

"""The text the model learns from and is scored on: a seed and a side in, dialogues out.

Nothing here needs torch. The same seed gives the same dialogues on every machine.
"""

import itertools
import random
from collections.abc import Callable, Iterator

import stories
import talk
import toolcalls
from dialogue import Dialogue, Message
from extract import KEYS_UNKNOWN, composed, extract
from faq import faq
from words import Draw, Split

TRAIN_SEED = 20_261
SCORE_SEED = 77_003

Shares = tuple[tuple[Callable[[Draw], Dialogue], float], ...]

# How often each kind is drawn, in parts of the whole.
SHARES: Shares = (
    (faq, 20),
    (talk.small_talk, 7),
    (talk.repeat, 9),
    (talk.count, 2),
    (talk.add, 4),
    (talk.unknown, 8),
    (talk.remember, 5),
    (extract, 17),
    (composed, 15),
    (toolcalls.one_call, 30),
    (toolcalls.parallel_calls, 4),
    (toolcalls.tools_not_needed, 10),
    (toolcalls.tools_forced, 0.3),
    (toolcalls.no_such_tool, 5),
    (toolcalls.use_result, 6),
    (toolcalls.use_results, 4),
    (stories.short_story, 2),
    (stories.long_story, 2),
)
# The first lessons, for `train.py`.
COPYING_SHARES: Shares = (
    (talk.repeat, 45),
    (extract, 15),
    (composed, 10),
    (talk.remember, 8),
    (toolcalls.one_call, 12),
    (faq, 10),
)
_SYSTEM_TRAIN = (
    "You are a helpful assistant.", "You are a helpful assistant.", "Be brief.", "Answer briefly.",
    "You are portico-demo.", "You are a friendly assistant.", "You are an assistant.", "Be kind.",
    "You are a helpful AI assistant.", "Answer in English.", "You help people with Portico.",
    "You are a test assistant.", "Be concise and polite.", "You are a support agent.",
)  # fmt: skip
_SYSTEM_HELD = ("You are a careful assistant.", "Always be polite.", "You are a concise helper.")
_ALONE = (faq, talk.small_talk, talk.repeat, talk.count, talk.add, extract)


def _with_system(draw: Draw, made: Dialogue) -> Dialogue:
    if made.messages[0].role == "system" or not draw.chance(0.35):
        return made
    text = draw.pick_side(_SYSTEM_TRAIN, _SYSTEM_HELD)
    if draw.chance(0.2):
        text = draw.phrase(3, 12).capitalize() + "."
    return Dialogue(made.skill, (Message("system", text), *made.messages), made.tools, made.exact)


def _with_history(draw: Draw, made: Dialogue) -> Dialogue:
    """An earlier turn or two, so that an answer does not depend on being the first."""
    if made.messages[0].role == "system" or made.skill == "long story" or not draw.chance(0.2):
        return made
    earlier: list[Message] = []
    for _ in range(draw.rng.randint(1, 2)):
        turn = draw.pick(_ALONE)(draw).messages
        earlier.extend(turn if turn[0].role == "user" else ())
    return Dialogue(made.skill, (*earlier, *made.messages), made.tools, made.exact)


def dress(draw: Draw, made: Dialogue) -> Dialogue:
    """Add what surrounds a dialogue in real use: history and a system prompt."""
    return _with_system(draw, _with_history(draw, made))


def dialogues(seed: int, split: Split, shares: Shares = SHARES) -> Iterator[Dialogue]:
    """An endless, reproducible stream in the given proportions."""
    draw = Draw(random.Random(f"{seed}/{split}"), split)
    makers = [make for make, _ in shares]
    weights = [share for _, share in shares]
    while True:
        yield dress(draw, draw.rng.choices(makers, weights)[0](draw))


def probes(make: Callable[[Draw], Dialogue], split: Split, count: int) -> list[Dialogue]:
    """Fresh dialogues of one kind to score with; never the ones that were trained on."""
    draw = Draw(random.Random(f"{SCORE_SEED}/{split}/{make.__name__}"), split)
    drawn = (dress(draw, make(draw)) for _ in itertools.count())
    return list(itertools.islice((each for each in drawn if each.skill != KEYS_UNKNOWN), count))

"""Small stories, short and long, so that a stream of some length exists to look at."""

from dialogue import Dialogue, ask
from words import Draw, listed

_SHORT_TRAIN = ("Tell me a story.", "Tell me a short story.", "A short story please", "tell a story",
                "Write a short story.", "story", "Tell me a little story about {}.",
                "Tell me a story about {}.", "Write a story about {}.")  # fmt: skip
_SHORT_HELD = ("Please tell me a story.", "Write me a short story.")
_LONG_TRAIN = ("Tell me a long story.", "tell me a long story", "A long story please.",
               "Write a long story.", "Tell me a very long story.", "Write a long text.",
               "Tell me a long story about {}.", "Write a long story about {}.", "Write a long essay.",
               "Tell me a long tale.", "Write 500 words.", "long story")  # fmt: skip
_LONG_HELD = ("Please tell me a long story.", "Write me a long story.", "Please write a long text.")

_THINGS = listed(
    "a key|a lamp|a letter|a small door|a silver bell|an old map|a blue stone|a book", "|"
)
_PLACES = listed(
    "a quiet town|a house by the sea|a city of doors|a mill by the river|a tall tower", "|"
)
_FEELINGS = listed("curious|brave|tired|happy|careful|patient|hopeful", "|")
_FRIENDS = listed("a grey cat|an old clock maker|a small bird|a friendly dog|a quiet gardener", "|")
_EVENTS = (
    "{n} walked along the road and found {t}.",
    "{n} met {f}, who asked where the road would end.",
    "It began to rain, and {n} waited under a tree until the sky was clear.",
    "{n} asked {f} for help, and together they went on.",
    "There was a door with no handle, and {n} knocked three times.",
    "{n} felt {e}, but did not turn back.",
    "In the evening {n} made a small fire and looked at the stars.",
    "{f} told {n} about {t} that nobody could open.",
    "{n} crossed a bridge and counted every step.",
    "Someone had left {t} on the stairs, and {n} picked it up.",
    "{n} wrote a letter home and said that all was well.",
    "The path was long, and {n} was {e}.",
)
_DAYS = ("first", "second", "third", "fourth", "fifth")


def _line(draw: Draw, name: str) -> str:
    friend = draw.pick(_FRIENDS)
    text = draw.pick(_EVENTS)
    line = text.format(n=name, t=draw.pick(_THINGS), f=friend, e=draw.pick(_FEELINGS))
    return line[0].upper() + line[1:]


def _opening(draw: Draw, name: str, hero: str) -> str:
    return f"Once upon a time {hero} called {name} lived in {draw.pick(_PLACES)}."


def _closing(draw: Draw, name: str) -> str:
    return f"Then {name} opened the last door and was home again. The end."


def _hero(draw: Draw, template: str) -> tuple[str, str, str]:
    """The question, the name and the kind of hero; a named hero is copied from the question."""
    name = draw.given_name()
    if "{}" in template and draw.chance(0.5):
        return template.format(name), name, "a traveller"
    kind = draw.pick(listed("a cat|a dog|a robot|a bird|a girl|a boy|a fox|a small model", "|"))
    if "{}" in template:
        return template.format(kind), name, kind
    return template, draw.pick(("Mila", "Tomas", "Nora", "Pim")), "a traveller"


def short_story(draw: Draw) -> Dialogue:
    question, name, hero = _hero(draw, draw.pick_side(_SHORT_TRAIN, _SHORT_HELD))
    lines = [_opening(draw, name, hero), _line(draw, name), _closing(draw, name)]
    return ask("story", question, " ".join(lines), exact=False)


def long_story(draw: Draw) -> Dialogue:
    """Five days with three events each; the days keep a small model from going in circles."""
    question, name, hero = _hero(draw, draw.pick_side(_LONG_TRAIN, _LONG_HELD))
    days = [f"On the {day} day, " + " ".join(_line(draw, name) for _ in range(3)) for day in _DAYS]
    text = "\n\n".join([_opening(draw, name, hero), *days, _closing(draw, name)])
    return ask("long story", question, text, exact=False)

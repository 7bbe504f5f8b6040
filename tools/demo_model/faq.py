"""Questions about Portico: the answers of `docs/faq.md` times ways of asking them."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from dialogue import Dialogue, ask
from words import Draw

FAQ_PAGE = Path(__file__).parents[2] / "docs" / "faq.md"
PHRASINGS = Path(__file__).with_name("phrasings.toml")

TRAIN_WRAPPERS = (
    *["{}"] * 8,
    "Hi, {}",
    "Hello! {}",
    "Hey, {}",
    "Please: {}",
    "Question: {}",
    "I have a question. {}",
    "Quick question: {}",
    "Ok. {}",
    "And {}",
    "So, {}",
    "Thanks. {}",
    "{} Thanks.",
    "{} Please answer.",
    "{} Please.",
    "{} Answer in one sentence.",
    "Good morning. {}",
    "I am new here. {}",
    "Tell me: {}",
)
HELD_WRAPPERS = (
    "Sorry, {}",
    "Next question: {}",
    "Good evening! {}",
    "{} Thank you!",
    "I would like to know: {}",
    "Excuse me. {}",
    "{} Be brief.",
)
# Openings and endings put together, so that they are passed over and not remembered.
_OPENERS = ("good day", "morning", "afternoon", "hi there", "pardon", "a question", "one more question",
            "another question", "I wonder", "I want to know", "please say", "I ask myself",
            "something else", "my friend asks", "just asking", "help me", "by the way", "well", "now",
            "right", "fine", "hm", "listen", "I am curious", "my question is")  # fmt: skip
_ENDINGS = ("Keep it short.", "Thanks a lot!", "Say it in a few words.", "I need to know.", "Thx",
            "Short answer please.", "In a word?", "Tell me.", "I would be glad.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer with the ways to ask for it that are learned, and those that are only scored."""

    answer: str
    train: tuple[str, ...]
    held: tuple[str, ...]


def read_entries() -> list[Entry]:
    """The page and its phrasings. Raises ValueError when one names a question the other lacks."""
    parts = re.split(r"^## (.+)$", FAQ_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    answers = dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
    phrasings = tomllib.loads(PHRASINGS.read_text(encoding="utf-8"))
    if answers.keys() != phrasings.keys():
        raise ValueError(f"only on one side: {sorted(answers.keys() ^ phrasings.keys())}")
    return [
        Entry(answer, (heading, *phrasings[heading]["train"]), tuple(phrasings[heading]["held"]))
        for heading, answer in answers.items()
    ]


def bare(text: str) -> str:
    """Words alone, to compare questions by."""
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()


ENTRIES = read_entries()
_HELD_BARE = {bare(text) for entry in ENTRIES for text in entry.held}
# Turns of phrase that mean the same here; each may be swapped for any other of its row.
_TURNS = (
    ("how do I", "how can I", "how to", "how should I", "how could I", "how do we", "how might I"),
    ("can I", "could I", "may I", "is it possible to", "am I able to", "can we"),
    ("what is", "what's", "what exactly is"),
    ("what happens when", "what happens if", "what if", "and when"),
    ("show me", "give me", "tell me", "I want to see"),
    ("API key", "key", "api key"),
    ("licence", "license"),
    ("Portico", "portico", "the server", "it"),
    ("a request", "requests", "the request"),
    ("I get a", "I got a", "I see a", "there is a"),
)


def _reworded(draw: Draw, text: str) -> str:
    """The same question with some turns of phrase swapped; never one that is held out."""
    changed = text
    for row in _TURNS:
        found = next((turn for turn in row if re.search(rf"\b{turn}\b", changed)), None)
        if found and draw.chance(0.4):
            changed = re.sub(rf"\b{found}\b", draw.pick(row), changed, count=1)
    return text if bare(changed) in _HELD_BARE else changed


def _as_typed(draw: Draw, text: str) -> str:
    """As people type: with or without a capital and a question mark, now and then with a slip."""
    if draw.chance(0.5):
        text = text[0].upper() + text[1:]
    if draw.chance(0.1):
        text = text.lower()
    if draw.chance(0.65) and text[-1].isalnum():
        text += "?"
    if draw.split == "train" and draw.chance(0.1):
        text = _with_slip(draw, text)
    return text


def _with_slip(draw: Draw, text: str) -> str:
    """One letter missing from a long word; a short word would become another one."""
    long_words = [word for word in text.split() if len(word) > 5 and word.isalpha()]
    if not long_words:
        return text
    word = draw.pick(long_words)
    at = draw.rng.randrange(1, len(word))
    return text.replace(word, word[:at] + word[at + 1 :], 1)


def _composed_wrapper(draw: Draw) -> str:
    """A way to lead up to a question, or to end after it, that is rarely met twice."""
    if draw.chance(0.3):
        return "{} " + draw.pick(_ENDINGS)
    opener = draw.pick(_OPENERS)
    if draw.chance(0.2):
        opener = draw.pick((f"{opener} {draw.person()}", draw.phrase(1, 3)))
    if draw.chance(0.6):
        opener = opener[0].upper() + opener[1:]
    return opener + draw.pick((", ", ": ", ". ", "! ", " - ")) + "{}"


def question(draw: Draw, entry: Entry) -> str:
    wrapper = draw.pick_side(TRAIN_WRAPPERS, HELD_WRAPPERS)
    if draw.split == "train" and draw.chance(0.35):
        wrapper = _composed_wrapper(draw)
    text = draw.pick_side(entry.train, entry.held)
    if draw.split == "train" and draw.chance(0.4):
        text = _reworded(draw, text)
    return wrapper.format(_as_typed(draw, text))


def faq(draw: Draw) -> Dialogue:
    entry = draw.pick(ENTRIES)
    return ask("faq", question(draw, entry), entry.answer)

"""The committed demo model is the one its card describes, and its corpus is what it claims to be."""

import hashlib
import importlib
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "demo_model"
DATA = ROOT / "portico" / "engines" / "embedded" / "data"
MODEL = DATA / "portico-demo-q8_0.gguf"
DRAWS = 3000


@pytest.fixture(scope="module", autouse=True)
def tool_on_path() -> Iterator[None]:
    """The tool's modules import one another by bare name, as scripts of one folder do."""
    sys.path.insert(0, str(TOOL))
    yield
    sys.path.remove(str(TOOL))


@pytest.fixture
def corpus() -> ModuleType:
    return importlib.import_module("corpus")


@pytest.fixture
def words() -> ModuleType:
    return importlib.import_module("words")


def test_the_model_is_the_one_its_digest_and_card_name() -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert (DATA / f"{MODEL.name}.sha256").read_text().split() == [digest, MODEL.name]
    assert digest in (DATA / "MODEL_CARD.md").read_text()


def test_the_model_is_small_enough_to_ship_and_is_a_gguf() -> None:
    assert 1_500_000 <= MODEL.stat().st_size <= 5_500_000
    assert MODEL.read_bytes()[:4] == b"GGUF"


def test_the_card_says_that_the_model_is_tiny() -> None:
    assert "very small demo model" in (DATA / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("split", ["train", "held"])
def test_the_corpus_follows_from_its_seed(corpus: ModuleType, split: str) -> None:
    first, again = (list(islice(corpus.dialogues(7, split), 500)) for _ in range(2))
    other = list(islice(corpus.dialogues(8, split), 500))
    assert first == again
    assert first != other


def test_the_corpus_needs_no_training_library(corpus: ModuleType) -> None:
    assert corpus.TRAIN_SEED
    assert "torch" not in sys.modules


def test_every_faq_answer_is_in_the_corpus(corpus: ModuleType) -> None:
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    answers = {part.strip() for part in re.split(r"^## .+$", page, flags=re.MULTILINE)[1:]}
    said = {
        message.content
        for dialogue in islice(corpus.dialogues(corpus.TRAIN_SEED, "train"), DRAWS)
        for message in dialogue.messages
    }
    assert len(answers) >= 25
    assert answers <= said


def test_no_question_of_the_faq_is_both_learned_and_held_out() -> None:
    faq = importlib.import_module("faq")
    learned = {faq.bare(text) for entry in faq.ENTRIES for text in entry.train}
    held = {faq.bare(text) for entry in faq.ENTRIES for text in entry.held}
    assert held
    assert not learned & held
    draw = importlib.import_module("words").Draw(Random(3), "train")
    asked = {faq.bare(faq.question(draw, draw.pick(faq.ENTRIES))) for _ in range(10 * DRAWS)}
    assert not asked & held, "a reworded question is one that is held out"
    assert not set(faq.TRAIN_WRAPPERS) & set(faq.HELD_WRAPPERS)


def test_templates_are_learned_or_held_out_and_never_both() -> None:
    for name in ("talk", "stories", "extract", "toolcalls", "corpus"):
        module = importlib.import_module(name)
        pairs = [attribute for attribute in vars(module) if attribute.endswith("_TRAIN")]
        assert pairs
        for attribute in pairs:
            learned = set(getattr(module, attribute))
            held = set(getattr(module, attribute.removesuffix("_TRAIN") + "_HELD"))
            assert held, f"{name}.{attribute} has nothing held out"
            assert not learned & held, f"{name}.{attribute}"


def test_domains_tools_and_small_talk_keep_their_held_out_templates_apart() -> None:
    extract = importlib.import_module("extract")
    toolcalls = importlib.import_module("toolcalls")
    talk = importlib.import_module("talk")
    clauses = (*extract.ABOUT_PEOPLE, *extract.ABOUT_THINGS)
    for each in (*extract.DOMAINS, *clauses, *toolcalls.CONCEPTS):
        assert each.train
        assert each.held
        assert not set(each.train) & set(each.held)
    for learned, held, _ in talk.SMALL_TALK:
        assert not set(learned) & set(held)
    known = {name for concept in toolcalls.CONCEPTS for name in concept.names}
    assert not known & {name for concept in toolcalls.HELD_CONCEPTS for name in concept.names}


@pytest.mark.parametrize("kind", ["given_name", "city", "pseudo_word", "code"])
def test_names_and_cities_belong_to_one_side(words: ModuleType, kind: str) -> None:
    drawn = {}
    for split in ("train", "held"):
        make = getattr(words.Draw(Random(2), split), kind)
        drawn[split] = {make() for _ in range(DRAWS)}
    assert not drawn["train"] & drawn["held"]
    assert len(drawn["train"]) > DRAWS / 4, "too few to learn copying from"


def test_no_learned_dialogue_uses_a_held_out_tool_or_template(corpus: ModuleType) -> None:
    toolcalls = importlib.import_module("toolcalls")
    held = {name for concept in toolcalls.HELD_CONCEPTS for name in concept.names}
    for dialogue in islice(corpus.dialogues(corpus.TRAIN_SEED, "train"), DRAWS):
        assert not held & {tool["name"] for tool in dialogue.tools}

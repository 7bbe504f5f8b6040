"""Tags and the header: what is heard, what is refused, and that the guide says the same."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.conversation import Conversation
from portico.engines.simulated.models import MODELS
from portico.engines.simulated.parameters import (
    HEADER,
    KNOWN,
    Parameters,
    Whole,
    read,
    without_tags,
)
from portico.engines.simulated.schema.instance import _NOT_HONOURED
from portico.engines.simulated.speech import EFFORT_TOKENS
from portico.errors import Refusal
from tests.engines.simulated.asking import turn

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "simulated-engine.md").read_text()


def heard(*messages: tuple[str, str], header: str = "") -> Parameters:
    conversation = Conversation(tuple(turn(role, text) for role, text in messages))
    return read(conversation, {HEADER: header}, Parameters())


def refused(header: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        heard(header=header)
    return caught.value


def test_where_a_tag_counts() -> None:
    """In system messages and the last user message; later ones win, the header wins over all."""
    told = heard(
        ("system", "[[sim seed=1 chunk=2 tokens=3]]"),
        ("user", "earlier [[sim calls=9]]"),
        ("assistant", "[[sim calls=8]]"),
        ("user", "now [[sim seed=4 chunk=5]] and [[sim  first_ms=6]]"),
        ("tool", "[[sim calls=7]]"),
        header="seed=10",
    )
    assert told == Parameters(seed=10, chunk=5, tokens=3, first_ms=6)


@pytest.mark.parametrize("text", ["[[simple]]", "[[ sim seed=1]]", "[sim seed=1]", "[[sim seed=1"])
def test_what_is_no_tag(text: str) -> None:
    assert heard(("user", text)) == Parameters()
    assert without_tags(text) == text


def test_tags_are_not_echoed() -> None:
    assert without_tags("[[sim seed=1]] Hello [[sim]]") == "Hello"
    assert without_tags(" Hello ") == " Hello ", "what has no tag is left alone"


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", "none"),
        ("status=503", "error"),
        ("code=overloaded fail_after=2", "error"),
        ("fail_after=2", "cut"),
        ("fail_after=2 fault=stall", "stall"),
        ("status=503 fault=none", "none"),
    ],
)
def test_what_a_parameter_alone_means(header: str, fault: str) -> None:
    assert heard(header=header).fault == fault


def test_a_models_own_fault_keeps_its_moment() -> None:
    conversation = Conversation((turn("user", "[[sim fail_after=9]]"),))
    told = read(conversation, {}, MODELS["sim-stall"].defaults)
    assert told == replace(MODELS["sim-stall"].defaults, fail_after=9)


@pytest.mark.parametrize(
    ("header", "code", "field", "limit"),
    [
        ("tokns=3", "invalid_value", "sim.tokns", list(KNOWN)),
        ("tokens", "invalid_value", "sim.tokens", "1 to 100000"),
        ("tokens=", "invalid_type", "sim.tokens", "1 to 100000"),
        ("tokens=1.5", "invalid_type", "sim.tokens", "1 to 100000"),
        ("tokens=٣", "invalid_type", "sim.tokens", "1 to 100000"),
        ("tokens=" + "9" * 30, "invalid_type", "sim.tokens", "1 to 100000"),
        ("tokens=0", "out_of_range", "sim.tokens", 1),
        ("tokens=100001", "out_of_range", "sim.tokens", 100_000),
        ("seed=-1", "out_of_range", "sim.seed", 0),
        ("status=200", "invalid_value", "sim.status", None),
        ("code=nonsense", "invalid_value", "sim.code", None),
        ("fault=sometimes", "invalid_value", "sim.fault", None),
    ],
)
def test_a_wrong_parameter_is_named(header: str, code: str, field: str, limit: object) -> None:
    refusal = refused(header)
    assert (refusal.code, refusal.field) == (code, field)
    assert field.removeprefix("sim.") in refusal.message
    if limit is not None:
        assert refusal.limit == limit


@given(st.text(max_size=80))
def test_any_header_is_heard_or_refused(header: str) -> None:
    told: Parameters | int
    try:
        told = heard(header=header)
    except Refusal as refusal:
        told = refusal.status
    assert told in (Parameters(), 400)


def rows(heading: str) -> dict[str, list[str]]:
    """The table under `heading` in the guide: first cell without backticks -> the other cells."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {first.strip("` "): rest for first, *rest in cells}


def test_the_guide_has_the_parameters_and_their_limits() -> None:
    assert {name: cells[0] for name, cells in rows("Parameters").items()} == {
        name: str(kind) for name, kind in KNOWN.items()
    }
    assert list(KNOWN) == [field.name for field in fields(Parameters)]


def test_the_guide_has_the_defaults_that_are_figures() -> None:
    for name, (_, default, _) in rows("Parameters").items():
        if default.isdigit() and name != "status":
            assert getattr(Parameters(), name) == int(default)


def test_the_guide_has_the_models_and_what_they_start_from() -> None:
    found = rows("Models")
    assert set(found) == set(MODELS)
    for name, (_, starts_from) in found.items():
        told = starts_from.strip("`| ")
        assert heard(header=told) == MODELS[name].defaults


def test_the_guide_has_the_faults() -> None:
    kind = KNOWN["fault"]
    assert tuple(rows("Faults")) == getattr(kind, "values", None)


def test_the_guide_has_the_efforts() -> None:
    said = ", ".join(f"{effort} {tokens}" for effort, tokens in EFFORT_TOKENS.items())
    assert said in " ".join(GUIDE.split())


def test_the_limits_are_limits() -> None:
    for name, kind in KNOWN.items():
        if isinstance(kind, Whole):
            for value in (kind.least, kind.most):
                assert getattr(heard(header=f"{name}={value}"), name) == value
            assert refused(f"{name}={kind.most + 1}").code == "out_of_range"
            assert refused(f"{name}={kind.least - 1}").code == "out_of_range"


def test_the_guide_names_what_a_schema_may_not_have() -> None:
    section = GUIDE.split("## JSON schemas")[1]
    for keyword in _NOT_HONOURED:
        plain = re.sub("^(dependen|\\$).*", "", keyword)
        assert not plain or f"`{plain}`" in section


def test_the_arguments_of_a_call_are_all_that_follows() -> None:
    told = heard(header='call=shell seed=7 args={"cmd": "echo seed=8 > a"}')
    assert (told.call, told.seed, told.args) == ("shell", 7, '{"cmd": "echo seed=8 > a"}')
    assert refused(f"args={'x' * 10_001}").limit == 10_000

"""The journey's law, and the mutants it must kill.

An admitted request is settled exactly once, for what was generated, after every upstream is
closed and before its last byte is sent; an answer never mixes two engines; after a hang-up
nothing more is sent; the place is given back once, after settlement.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import portico.journey
from portico.kit.leaving import DRAINED, REVOKED
from tests.journeys.world import Script, World

failing = st.none() | st.integers(0, 4)
script = st.builds(
    Script, st.integers(0, 4), failing, st.sampled_from(["ours", "caller", "silent"])
)
scripts = st.lists(script, min_size=1, max_size=3)
hang_up = st.none() | st.integers(1, 4)
funds = st.none() | st.integers(0, 5)

# Worth trying every time: chance does not have to find them.
TELLING: list[tuple[list[Script], int | None, int | None]] = [
    ([Script(2, fails_at=0), Script(1)], None, None),
    ([Script(2, fails_at=1), Script(1)], None, None),
    ([Script(1, fails_at=0, how="silent")], None, None),
    ([Script(4)], 1, None),
    ([Script(0)], None, None),
    ([Script(4)], None, 1),
    ([Script(4), Script(4)], None, 0),
]


def check(world: World) -> None:
    facts = world.facts
    assert len(world.settled) == 1, "settled exactly once"
    ((outcome, tokens),) = world.settled
    assert tokens == world.produced, "what was generated is metered, sent or not"
    settled_at = facts.index(f"settled {outcome}")
    assert not any("closed" in fact for fact in facts[settled_at:]), "closed before the bill"
    assert facts.count("released") == 1, "the place is given back once"
    assert facts.index("released") > settled_at, "and not before it is settled"
    assert len(set(world.sent)) <= 1, "an answer never mixes two engines"
    whole = outcome in ("completed", "out_of_funds")
    assert facts[:settled_at].count("composed") == whole, "the end can be kept with the bill"
    if outcome == "completed":
        assert world.ended == "answered"
        assert len(world.sent) == world.produced
        assert facts[-1] == f"sent {world.sent[0]}", "the engine's own end is sent last"
        assert sum(fact.startswith("sent") for fact in facts[settled_at:]) == 1
        if world.pays_for is not None:
            assert world.produced - 1 <= world.pays_for, "nothing runs on money that is not there"
    elif outcome == "out_of_funds":
        assert world.ended == "answered"
        assert facts[-1] == "sent length: credit_balance_exhausted", "and it is said why"
        assert world.pays_for is not None
        assert world.produced > world.pays_for, "and not before it is true"
    else:
        assert world.ended != "answered"
        assert not any(fact.startswith("sent") for fact in facts[settled_at:])
    if world.hangs_up_after is not None:
        assert len(world.sent) <= world.hangs_up_after, "after a hang-up nothing more is sent"
        if outcome == "client_gone":
            assert world.ended == "left"
    tried = [fact for fact in facts if fact.endswith("opened")]
    assert [name for name, _ in world.noted] == [fact[0] for fact in tried], "each try is noted"
    if outcome == "completed":
        assert world.noted[-1][1] == "answered"
    told = [world.scripts["abc".index(fact[0])].how for fact in tried]
    if outcome == "upstream_failed" and not world.produced and set(told) == {"ours"}:
        assert len(tried) == len(world.scripts), "every engine is tried before giving up"
    by = [fact for fact in facts if fact.startswith("by ")]
    assert by == ([f"by {tried[-1][0]}"] if world.produced else []), "and who answers is said once"
    if world.sent:
        assert tried[-1] == f"{world.sent[0]} opened", "no second try after the first delta"


@settings(max_examples=300, deadline=None)
@given(scripts, hang_up, funds)
def test_every_admitted_request_is_settled_once_for_what_was_generated(
    scripts: list[Script], hangs_up_after: int | None, pays_for: int | None
) -> None:
    check(World(portico.journey, scripts, hangs_up_after, pays_for).live())


def test_failover_before_the_first_delta() -> None:
    world = World(portico.journey, [Script(2, fails_at=0), Script(1)]).live()
    assert world.facts == [
        "priced",
        "admitted",
        "told what is left",
        "opened record",
        "a opened",
        "a closed",
        "b opened",
        "by b",
        "sent b",
        "b closed",
        "composed",
        "settled completed",
        "released",
        "sent b",
    ]


def test_an_answer_off_its_schema_is_not_made_again_and_is_paid_for() -> None:
    world = World(
        portico.journey, [Script(2, fails_at=2, how="off schema"), Script(1)], pays_for=9
    ).live()
    assert (world.ended, world.settled) == ("schema_not_followed", [("off_schema", 2)])


def test_a_refusal_by_the_engine_is_not_tried_elsewhere() -> None:
    world = World(portico.journey, [Script(2, fails_at=0, how="caller"), Script(1)]).live()
    assert (world.ended, world.settled) == ("upstream_refused", [("refused", 0)])


@pytest.mark.parametrize(
    ("reason", "outcome"), [("hung up", "client_gone"), (DRAINED, "drained"), (REVOKED, "revoked")]
)
def test_who_left_is_on_the_record_even_if_nothing_was_asked_for(reason: str, outcome: str) -> None:
    world = World(portico.journey, [Script(1)], leaves_when_admitted=reason).live()
    assert (world.ended, world.settled) == ("left", [(outcome, 0)])
    assert "a opened" not in world.facts


MUTANTS = {
    "no settle": ("        await metering.settle(record, outcome)\n", "        pass\n"),
    "settle twice": (
        "        await metering.settle(record, outcome)\n",
        "        await metering.settle(record, outcome)\n"
        "        await metering.settle(record, outcome)\n",
    ),
    "settle only when completed": (
        "        await metering.settle(record, outcome)\n",
        "        if outcome == 'completed': await metering.settle(record, outcome)\n",
    ),
    "no count": ("        record.count(delta)", "        pass"),
    "count after push": (
        "        record.count(delta)  # before it is sent: what was generated is metered, seen or"
        " not\n        if delta.last:",
        "        if not delta.last:\n            await client.send(delta)\n"
        "        record.count(delta)\n        if delta.last:",
    ),
    "retry after the first delta": ("record.usage.started or ", ""),
    "a try is not noted": ("            with tries:", "            if True:"),
    "nobody is told who answers": (
        "            client.served_by(tries.began())\n",
        "            pass\n",
    ),
    "no retry at all": ("            if record.usage.started or", "            if True or"),
    "leaving not entered": ("        with client.leaving:\n", "        if True:\n"),
    "the end is sent before it is settled": (
        "            final = delta  # held back until the record is on disk\n",
        "            final = delta\n            await client.send(delta)\n",
    ),
    "the end is not there when it is settled": (
        "    client.compose(final)  # before it is settled: what is kept for a replay shares that"
        " commit\n",
        "",
    ),
    "the end is never sent": ("    await client.send(final)\n", ""),
    "the place is kept": ("        permit.release()\n", "        pass\n"),
    "the place is given back before settlement": (
        "        record = rooms.metering.open",
        "        permit.release()\n        record = rooms.metering.open",
    ),
    "a silent end is an answer": (
        '        raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine ended without an answer."))',
        "        return Delta(raw=b'a')",
    ),
    "a hang-up counts as completed": (
        'return _CUT.get(leaving.reason, "client_gone")',
        'return "completed"',
    ),
    "a cut answer counts as completed": (
        'return "out_of_funds" if final.cut else "completed"',
        'return "completed"',
    ),
    "a stream goes on without money": (
        "            await record.purse.cover(record.output_tokens)\n",
        "            pass\n",
    ),
    "a cut answer is tried elsewhere": (
        "            record.count(final)\n",
        "            record.count(final)\n            tries.again()\n",
    ),
}


def mutant(name: str, old: str, new: str) -> ModuleType:
    source = Path(str(portico.journey.__file__)).read_text()
    assert source.count(old) == 1, f"mutant {name!r} no longer fits journey.py"
    spec = importlib.util.spec_from_loader("portico_mutant", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["portico_mutant"] = module
    exec(compile(source.replace(old, new), name, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("name", MUTANTS)
def test_the_law_kills(name: str) -> None:
    journey = mutant(name, *MUTANTS[name])

    @settings(
        max_examples=300,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(scripts, hang_up, funds)
    def law(scripts: list[Script], hangs_up_after: int | None, pays_for: int | None) -> None:
        check(World(journey, scripts, hangs_up_after, pays_for).live())

    for told in TELLING:
        law = example(*told)(law)
    with pytest.raises((AssertionError, ValueError, BaseExceptionGroup)):
        law()

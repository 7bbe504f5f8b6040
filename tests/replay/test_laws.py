"""The laws of claims, on both databases, and the mutants they must kill.

uv run pytest tests/replay/test_laws.py -v        # the list
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import portico.replay
from bench.faults.place import Address, Place
from tests.replay.laws import LAWS, Law
from tests.replay.world import Rooms, undone

# In the order in which they import one another.
MODULES = ("rules", "store", "service")


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_law(law: Law, place: Place) -> None:
    with undone(place) as world:
        law(world)


@dataclass(frozen=True)
class Mutant:
    """module: of portico.replay; old: what is taken from it, found there once."""

    name: str
    module: str
    old: str
    new: str = ""


MUTANTS = [
    Mutant("an answer never expires", "rules", " and standing.expires_at_ms <= now_ms)", ")"),
    Mutant("it expires a moment late", "rules", "expires_at_ms <= now_ms", "expires_at_ms < now_ms"),
    Mutant("an open claim expires", "rules", 'standing.state == "done" and '),
    Mutant("a key is one for all projects", "store", "(project_id, key) IN", "('p', key) IN"),
    Mutant("a key is found by its project", "store", "(project_id, key) IN", "(project_id, 'k') IN"),
    Mutant("a done claim is released", "store", " AND state = 'open' \"\n        \"RETURNING", ' "\n        "RETURNING'),
    Mutant("a claim is finished twice", "store", "WHERE request_id = ? AND state = 'open'\"", 'WHERE request_id = ?"'),
    Mutant("any claim is finished", "store", "WHERE request_id = ? AND state = 'open'\"", "WHERE ? <> '' AND state = 'open'\""),
    Mutant("finished stays open", "store", "SET state = 'done', status", "SET state = 'open', status"),
    Mutant("the dead keep theirs", "store", " OR owner NOT IN (SELECT id FROM instance)"),
    Mutant("the living lose theirs", "store", "owner NOT IN (SELECT id FROM instance)", "owner <> ''"),
    Mutant("the old stay open", "store", "expires_at_ms <= ? OR owner", "0 > ? OR owner"),
    Mutant("the old go early", "store", "expires_at_ms <= ? OR owner", "? > 0 OR owner"),
    Mutant("stale answers go", "store", "WHERE state = 'open' \"\n        \"AND (expires", "WHERE 1 = 1 \"\n        \"AND (expires"),
    Mutant("open claims are purged", "store", "\"WHERE state = 'done' AND expires_at_ms <= ? ORDER", '"WHERE expires_at_ms <= ? ORDER'),
    Mutant("everything done is purged", "store", "state = 'done' AND expires_at_ms <= ? ORDER", "state = 'done' AND ? > 0 ORDER"),
    Mutant("all at once", "store", "ORDER BY expires_at_ms LIMIT ?)", "ORDER BY expires_at_ms LIMIT 1000 + ?)"),
    Mutant("open claims have an answer", "store", 'c.request_id == request_id, c.state == "done"', "c.request_id == request_id"),
    Mutant("all projects' answers count", "store", ".where(c.project_id == project_id)"),
    Mutant("heads do not count", "store", " + func.length(c.head)"),
    Mutant("answers do not count", "store", "func.length(c.answer) + "),
    Mutant("any answer will do", "store", "c.request_id == request_id, ", ""),
    Mutant("what expired stays", "service", "    store.forget(transaction, expired, now_ms)\n"),
    Mutant("what is given back stays", "service", "    store.release(transaction, released)\n"),
    Mutant("another's key is given back", "service", "standing.request_id == item.request_id and ", ""),
    Mutant("a done key is given back", "service", ' and standing.state == "open"'),
    Mutant("given back is not free in its commit", "service", "                del book[item.place]\n"),
    Mutant("given back is written all the same", "service", "                new.pop(item.place, None)\n"),
    Mutant("everybody gets it", "service", "if is_free(standing, now_ms):", "if True:"),
    Mutant("released is kept", "service", "if each.keep_ms is None])", "if False])"),
    Mutant("there is always more", "service", "== _PURGED_AT_ONCE", ">= 0"),
    Mutant("what it cost is forgotten", "service", "charged_nano.get(each.request_id)", "None"),
]  # fmt: skip


def rooms_with(mutant: Mutant) -> Rooms:
    """The modules of claims, made anew from their sources with one of them changed."""
    folder = Path(str(portico.replay.__file__)).parent
    kept = {name: module for name, module in sys.modules.items() if "portico.replay" in name}
    package = sys.modules["portico.replay"] = ModuleType("portico.replay")
    model = kept["portico.replay.model"]
    made: dict[str, ModuleType] = {}
    try:
        for name in MODULES:
            source = (folder / f"{name}.py").read_text()
            if name == mutant.module:
                assert source.count(mutant.old) == 1, f"{mutant.name!r} no longer fits {name}.py"
                source = source.replace(mutant.old, mutant.new)
            module = ModuleType(f"portico.replay.{name}")
            sys.modules[module.__name__] = module
            setattr(package, name, module)
            exec(compile(source, f"{mutant.name}:{name}", "exec"), module.__dict__)
            made[name] = module
    finally:
        sys.modules.update(kept)
    return Rooms(model=model, **made)


def broken_law(place: Place, rooms: Rooms) -> str | None:
    """The first law that does not hold, if any."""
    for law in LAWS:
        with undone(place, rooms) as world:
            try:
                law(world)
            except (Exception, pytest.fail.Exception):  # noqa: BLE001  # however it breaks
                return law.__name__
    return None


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(Address(tmp_path_factory.mktemp("mutants"), ""))
    place.create()
    yield place
    place.close()


def test_nothing_is_broken_before_it_is_changed(file: Place) -> None:
    rooms = rooms_with(Mutant("unchanged", "rules", "KEPT = frozenset", "KEPT = frozenset"))
    assert rooms.rules is not importlib.import_module("portico.replay.rules")
    assert broken_law(file, rooms) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_law_kills(mutant: Mutant, file: Place) -> None:
    assert broken_law(file, rooms_with(mutant)) is not None

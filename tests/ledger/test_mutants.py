"""Every guard, condition and order of the ledger, taken away one at a time: a law must break.

uv run pytest tests/ledger/test_mutants.py -v        # the list
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import CheckConstraint, Constraint, ForeignKeyConstraint, MetaData, UniqueConstraint

import portico.ledger
from bench.faults.place import Address, Place
from portico.db.tables import metadata
from tests.ledger.laws_tables import the_past_is_not_changed
from tests.ledger.mutants import MUTANTS, Mutant
from tests.ledger.test_laws import LAWS, Law
from tests.ledger.world import Rooms, undone

# In the order in which they import one another.
MODULES = ("model", "rules", "store", "receipts", "service")
TABLES = ("account", "hold", "txn", "entry", "charge", "chain")


def rooms_with(mutant: Mutant) -> Rooms:
    """The ledger's modules, made anew from their sources with one of them changed."""
    folder = Path(str(portico.ledger.__file__)).parent
    kept = {name: module for name, module in sys.modules.items() if "portico.ledger" in name}
    package = sys.modules["portico.ledger"] = ModuleType("portico.ledger")
    made: dict[str, ModuleType] = {}
    try:
        for name in MODULES:
            source = (folder / f"{name}.py").read_text()
            if name == mutant.module:
                assert source.count(mutant.old) == 1, f"{mutant.name!r} no longer fits {name}.py"
                source = source.replace(mutant.old, mutant.new)
            module = ModuleType(f"portico.ledger.{name}")
            sys.modules[module.__name__] = module
            setattr(package, name, module)
            exec(compile(source, f"{mutant.name}:{name}", "exec"), module.__dict__)
            made[name] = module
    finally:
        sys.modules.update(kept)
    return Rooms(**made)


def broken_law(
    place: Place, rooms: Rooms, change: str = "", laws: Sequence[Law] = LAWS
) -> str | None:
    """The first law that does not hold, if any.  change: SQL to be run, and undone, with each."""
    for law in laws:
        with undone(place, rooms) as world:
            try:
                if change:
                    world.driver.execute(change)
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
    rooms = rooms_with(Mutant("unchanged", "rules", "import hashlib", "import hashlib"))
    assert rooms.rules is not importlib.import_module("portico.ledger.rules")
    assert broken_law(file, rooms) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_law_kills(mutant: Mutant, file: Place) -> None:
    assert broken_law(file, rooms_with(mutant)) is not None


def constraints() -> dict[str, tuple[str, int]]:
    """By name: the table and the place of each constraint in it."""
    found = {}
    kinds = (CheckConstraint, UniqueConstraint, ForeignKeyConstraint)
    for name in TABLES:
        for at, constraint in enumerate(_constraints(metadata, name)):
            if isinstance(constraint, kinds):
                words = getattr(constraint, "sqltext", None)
                if words is None:
                    words = ", ".join(column.name for column in constraint.columns)
                found[f"{name}: {type(constraint).__name__} {words}"] = (name, at)
    return found


def _constraints(tables: MetaData, table: str) -> list[Constraint]:
    """Always in the same order."""

    def name(constraint: Constraint) -> str:
        columns = [column.name for column in getattr(constraint, "columns", ())]
        return f"{type(constraint).__name__} {getattr(constraint, 'sqltext', '')} {columns}"

    return sorted(tables.tables[table].constraints, key=name)


# Tables that are made from the metadata have no triggers.
_WITHOUT_TRIGGERS = [law for law in LAWS if law is not the_past_is_not_changed]


@pytest.mark.parametrize("constraint", [None, *constraints()])
def test_a_law_kills_the_tables_without(constraint: str | None, tmp_path: Path) -> None:
    """None: nothing is taken away, and all is well."""
    changed = MetaData()
    for each in metadata.tables.values():
        each.to_metadata(changed)
    if constraint is not None:
        table, at = constraints()[constraint]
        changed.tables[table].constraints.remove(_constraints(changed, table)[at])
    place = Place(Address(tmp_path, ""))
    try:
        place.database.write(changed.create_all)
        broken = broken_law(place, Rooms(), laws=_WITHOUT_TRIGGERS)
        assert (broken is None) == (constraint is None)
    finally:
        place.close()


TRIGGERS = [
    f"{table}_refuses_{verb}"
    for table in ("txn", "entry", "charge")
    for verb in ("update", "delete")
]


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_a_law_kills_the_tables_without_the_trigger(trigger: str, file: Place) -> None:
    assert broken_law(file, Rooms(), f"DROP TRIGGER {trigger}") is not None

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
MODULES = ("model", "rules", "store", "receipts", "service", "owners")
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


def _constraints(tables: MetaData) -> dict[str, tuple[set[Constraint], Constraint]]:
    """By name: each constraint of the ledger's tables, and the set it can be taken out of."""
    found: dict[str, tuple[set[Constraint], Constraint]] = {}
    for table in TABLES:
        made = tables.tables[table]
        for owner in (made.constraints, *(column.constraints for column in made.columns)):
            for each in owner:
                if isinstance(each, CheckConstraint):
                    found[f"{table}: {each.sqltext}"] = (owner, each)
                elif isinstance(each, UniqueConstraint | ForeignKeyConstraint):
                    columns = ", ".join(column.name for column in each.columns)
                    found[f"{table}: {type(each).__name__} {columns}"] = (owner, each)
    return dict(sorted(found.items()))


# Tables that are made from the metadata have no triggers.
_WITHOUT_TRIGGERS = [law for law in LAWS if law is not the_past_is_not_changed]


@pytest.mark.parametrize("constraint", [None, *_constraints(metadata)])
def test_a_law_kills_the_tables_without(constraint: str | None, tmp_path: Path) -> None:
    """None: nothing is taken away, and all is well."""
    changed = MetaData()
    for each in metadata.tables.values():
        each.to_metadata(changed)
    if constraint is not None:
        owner, taken = _constraints(changed)[constraint]
        owner.remove(taken)
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

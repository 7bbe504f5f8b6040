"""What the ledger promises, verb by verb, on both databases."""

from collections.abc import Callable
from types import ModuleType

import pytest

from tests.ledger import laws_ends, laws_holds, laws_rules, laws_tables
from tests.ledger.world import World

Law = Callable[[World], None]


def laws_in(module: ModuleType) -> list[Law]:
    return [
        each
        for name, each in vars(module).items()
        if getattr(each, "__module__", "") == module.__name__ and not name.startswith("_")
    ]


LAWS = [
    law for module in (laws_rules, laws_holds, laws_ends, laws_tables) for law in laws_in(module)
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law, world: World) -> None:
    law(world)

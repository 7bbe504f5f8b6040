"""What is hidden takes the same work as what is not there: whoever has a clock learns nothing either.

How long it takes is measured by `bench/timing.py`; here it is what the database is asked.
"""

import re
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.admin.matrix import RELATIONS, TABLE, Cell, Somebody, Target, filled, world
from tests.admin.office import Office, office, site

pytestmark = pytest.mark.anyio

WHO = (
    "owner of the organisation",
    "admin of the project (member)",
    "admin of the project (service account)",
    "owner of another organisation",
)


_ID = re.compile(r"[a-z]+_[0-9a-f]{32}")
_NUMBER = re.compile(r"\b[0-9]{13}\b")


class Heard(list[str]):
    """Every statement that the database was asked, with its values."""

    def told(self) -> list[str]:
        """With ids and times alike, and emptied."""
        found = [_NUMBER.sub("TIME", _ID.sub("ID", statement)) for statement in self]
        self.clear()
        return found


async def asked(
    desk: Office, heard: Heard, who: Somebody, way: tuple[str, str], target: Target
) -> tuple[int, list[str]]:
    cell = TABLE[way]
    path = way[1].replace("{id}", target.ids[cell.id] if cell.id else "")
    heard.clear()
    answer = await desk.ask(
        way[0], path + filled(cell.query, target), who.secret, filled(cell.body, target)
    )
    return answer.status, heard.told()


async def test_what_is_hidden_is_looked_for_as_what_never_was(tmp_path: Path) -> None:
    acme = site(tmp_path)
    heard = Heard()
    event.listen(
        acme.database.backend.engine,
        "connect",
        lambda driver, _: driver.set_trace_callback(heard.append),
    )
    all = world(acme)
    people = [each for each in all.people if each.name in WHO]
    assert len(people) == len(WHO)
    told_apart, compared = [], 0
    async with office(acme, rehearsing=True) as desk:
        for way, cell in TABLE.items():
            if not about_one(cell):
                continue
            for who in people:
                nothing = await asked(desk, heard, who, way, all.target("none"))
                for relation in RELATIONS[:-1]:
                    found = await asked(desk, heard, who, way, all.target(relation))
                    if found[0] != 404:
                        continue
                    compared += 1
                    if found != nothing:
                        told_apart.append((way, who.name, relation, found, nothing))
    assert told_apart == []
    assert compared > 100


def about_one(cell: Cell) -> bool:
    return cell.where in ("project", "organisation")

"""0 unexpected answers: every route, by everybody, about everything; and nobody learns from an answer
whether what is not his is there."""

import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from portico.admin.desk import ROOT
from portico.admin.routes import operations
from portico.door.exchange import Exchange
from portico.door.routes import Route
from tests.admin.matrix import RELATIONS, TABLE, Cell, Somebody, Target, World, filled, world
from tests.admin.office import Office, office, site
from tests.admin.promises import Promises
from tests.door.scene import Answer

pytestmark = pytest.mark.anyio


def told(answer: Answer, target: Target) -> str:
    """Everything of it, but for what the request itself has of its own."""
    kept = {name: value for name, value in answer.headers.items() if name != "date"}
    text = f"{answer.status} {sorted(kept.items())} {answer.body.decode()}"
    for id in sorted(target.telling, key=len, reverse=True):
        text = text.replace(id, "ID")
    return re.sub(r"req_\w+", "REQUEST", text)


async def ask(desk: Office, who: Somebody, way: tuple[str, str], target: Target) -> Answer:
    method, path = way
    cell = TABLE[way]
    path = path.replace("{id}", target.ids[cell.id] if cell.id else "")
    return await desk.ask(
        method, path + filled(cell.query, target), who.secret, filled(cell.body, target)
    )


def wrong(who: Somebody, cell: Cell, target: Target, answer: Answer) -> bool:
    if not who.opens:
        return answer.status != 401
    if who.may(cell, target):
        return not 200 <= answer.status < 300
    return answer.status not in (403, 404)


async def test_every_route_everybody_everything(tmp_path: Path) -> None:
    acme = site(tmp_path)
    all = world(acme)
    unexpected: list[str] = []
    seen: Counter[int] = Counter()
    async with office(acme, rehearsing=True) as desk:
        for way, cell in TABLE.items():
            for who in all.people:
                answers = {}
                for relation in RELATIONS:
                    target = all.target(relation)
                    answer = answers[relation] = await ask(desk, who, way, target)
                    seen[answer.status] += 1
                    if wrong(who, cell, target, answer):
                        unexpected.append(
                            f"{way} by {who.name} about {relation}: {answer.status} "
                            f"{answer.body.decode()[:200]}"
                        )
                unexpected += [
                    f"{way} by {who.name}: {relation} is told from nothing"
                    for relation in differing(all, who, cell, answers)
                ]
    assert not unexpected, "\n".join(unexpected[:40])
    assert seen[200] > len(TABLE), "something is allowed at all"
    assert set(seen) == {200, 401, 403, 404}


def differing(all: World, who: Somebody, cell: Cell, answers: dict[str, Answer]) -> list[str]:
    """What he may not even read, but is told of otherwise than of what is not there."""
    nothing = told(answers["none"], all.target("none"))
    found = []
    for relation in RELATIONS[:-1]:
        target = all.target(relation)
        hidden = not who.may(cell, target) and answers[relation].status == 404
        foreign = who.opens and who.organisation not in (None, target.organisation)
        about_one = cell.where in ("project", "organisation")
        if about_one and (hidden or foreign) and told(answers[relation], target) != nothing:
            found.append(relation)
    return found


async def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    """Of every route, to the operator about objects that are there; each noun is shown full and empty
    somewhere."""
    acme = site(tmp_path)
    all = world(acme)
    target, operator = all.target("own"), all.people[0]
    broken: dict[tuple[str, str], list[str]] = {}
    async with office(acme, rehearsing=True) as desk:
        promises = Promises((await desk.ask("GET", "/openapi.json")).json)
        for way in (*TABLE, ("GET", "/openapi.json")):
            answer = (
                await ask(desk, operator, way, target) if way in TABLE else await desk.ask(*way)
            )
            assert answer.status == 200, way
            broken[way] = promises.broken(*way, answer.json)
    assert {way: wrong for way, wrong in broken.items() if wrong} == {}
    assert {way for way in broken if way != ("GET", "/openapi.json")} == {
        (each.method, each.path) for each in operations()
    }


async def test_what_an_answer_may_not_be_is_found(tmp_path: Path) -> None:
    async with office(site(tmp_path)) as desk:
        promises = Promises((await desk.ask("GET", "/openapi.json")).json)
        page = (await desk.ask("GET", "/organisations", desk.site.admin_key())).json
    assert promises.broken("GET", "/organisations", page) == []
    (one,) = page["data"]
    for wrong, says in (
        ({**one, "new": 1}, "is not in the document"),
        ({name: one[name] for name in one if name != "name"}, "name"),
        ({**one, "created_at": "yesterday"}, "date-time"),
        ({**one, "object": "project"}, "organisation"),
    ):
        (told,) = promises.broken("GET", "/organisations", {**page, "data": [wrong]})
        assert says in told


async def test_a_list_shows_only_what_may_be_read(tmp_path: Path) -> None:
    acme = site(tmp_path)
    all = world(acme)
    lists = [way for way, cell in TABLE.items() if way[0] == "GET" and cell.where == "anywhere"]
    leaks = []
    async with office(acme, rehearsing=True) as desk:
        for way in lists:
            for who in all.people:
                answer = await desk.ask(way[0], f"{way[1]}?limit=100", who.secret)
                text = answer.body.decode()
                for target in all.targets:
                    foreign = who.organisation not in (None, target.organisation)
                    scope = TABLE[way].scope
                    held = who.scopes | who.in_projects.get(target.project, frozenset())
                    for name in ("project", "key"):
                        seen = target.ids[name] in text
                        if seen and (foreign or scope not in held):
                            leaks.append(f"{way} shows {who.name} a {name} of {target.relation}")
                    if foreign and any(id in text for id in target.telling):
                        leaks.append(f"{way} shows {who.name} something of {target.relation}")
    assert leaks == []


async def test_no_change_binds_what_it_does_not_declare(tmp_path: Path) -> None:
    """Every PATCH, with every member that its object shows and some that it does not."""
    acme = site(tmp_path)
    all = world(acme)
    target, secret = all.target("own"), all.people[0].secret
    probed = 0
    async with office(acme, rehearsing=True) as desk:
        for operation in operations():
            if operation.method != "PATCH" or operation.body is None:
                continue
            cell = TABLE["PATCH", operation.path]
            path = operation.path.replace("{id}", target.ids[cell.id]) + filled(cell.query, target)
            declared = {each.encode_name for each in msgspec.structs.fields(operation.body)}
            plain = (await desk.ask("PATCH", path, secret, cell.body)).json
            hostile = dict.fromkeys(({*plain} | HOSTILE) - declared, "hacked")
            answer = await desk.ask("PATCH", path, secret, {**hostile, **cell.body})
            assert answer.json == plain, operation.path
            said = answer.headers["portico-warnings"]
            assert "unknown_field" in said
            probed += len(hostile)
    assert probed > 50


HOSTILE = {"is_admin", "digest", "pepper_id", "organisation_id", "owner_id", "project_id", "kind"}


def test_every_route_stands_in_the_table_with_its_scope() -> None:
    made = {(each.method, each.path): each.scope for each in operations()}
    assert {way: cell.route or cell.scope for way, cell in TABLE.items()} == made


async def _nothing(exchange: Exchange, rest: str) -> None: ...


def test_a_route_without_a_scope_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="must name a scope"):
        Route("GET", f"{ROOT}/new", _nothing)

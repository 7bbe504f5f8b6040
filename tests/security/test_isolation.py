"""Two customers of one server: what one has is not there for the other, on both databases.

Each test is a cell of the isolation table (docs/concepts/isolation.md).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from portico.db.database import Database, connect_database
from portico.db.tables import metadata
from tests.security.canaries import CHAT, GEMINI, MESSAGES, RESPONSES, forms, new_canary
from tests.whole.conftest import FOLLOWS, Served, end, portico, start
from tests.whole.hi import Hi, saying_hi
from tests.whole.wire import Wire, eventually, get

HELLO = [{"role": "user", "content": "Hello"}]
NOT_THERE = "org_" + "0" * 32


@dataclass(frozen=True)
class Customer:
    organisation: str
    project: str
    key: str
    key_id: str
    admin: str


@dataclass
class Site:
    """a, b: two organisations.  more: another project of a's.  behind: an engine like vLLM."""

    served: Served
    database: Database
    behind: Hi
    a: Customer
    b: Customer
    more: Customer

    def ask(
        self, who: Customer, path: str = CHAT, *headers: str, **fields: Any
    ) -> tuple[int, dict[str, str], bytes]:
        wire = Wire(replace(self.served, api_key=who.key))
        try:
            return wire.post(path, json.dumps(fields).encode(), *headers).answer()
        finally:
            wire.hang_up()

    def told(self, key: str, path: str) -> tuple[int, Any]:
        status, _, body = get(self.served, path, key)
        return status, json.loads(body)

    def does(self, key: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        wire = Wire(replace(self.served, api_key=key))
        try:
            status, _, answer = wire.post(path, json.dumps(body).encode()).answer()
        finally:
            wire.hang_up()
        return status, json.loads(answer)

    def count(self, table: str, where: str = "1 = 1") -> int:
        sql = f"SELECT count(*) FROM {table} WHERE {where}"
        return int(self.database.read(lambda c: c.exec_driver_sql(sql).scalar_one()))


class Office:
    """The operator's command line."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self._more = ("--data-dir", str(data_dir), "--json")
        self._url = url

    def types(self, *words: str) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PORTICO_DATABASE_URL", self._url)
            done = portico(*words, *self._more)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def customer(self, name: str, organisation: str = "") -> Customer:
        if not organisation:
            made = self.types("organisation", "create", name, "--terms", "internal")
            organisation = made["id"]
        project = self.types("project", "create", name, "--organisation", organisation)["id"]
        key = self.types("key", "create", "--project", project, "--concurrency", "2")
        owner = self.types(
            *("member", "add", f"{name}@x.test", "--role", "owner"),
            *("--organisation", organisation),
        )
        admin = self.types(
            *("admin-key", "create", "--organisation", organisation),
            *("--owner", owner["subject_id"]),
        )
        return Customer(organisation, project, key["api_key"], key["id"], admin["api_key"])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("isolation") / "data"
    postgres = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    url = postgres.new_url() if postgres else ""
    env = {**FOLLOWS, "PORTICO_ENGINE_ENABLED": "false", "PORTICO_DATABASE_URL": url}
    listed = {"id": "base", "owned_by": "vllm", "max_model_len": 4_096}
    with saying_hi(listed) as behind:
        served = start(data, "--simulated", "--upstream", behind.base_url, env=env)
        office = Office(data, url)
        a, b = office.customer("ada"), office.customer("bob")
        more = office.customer("amy", a.organisation)
        made = Site(served, connect_database(data, url), behind, a, b, more)
        for who in (a, b, more):  # how a new organisation pays is known to a server within seconds
            eventually(partial(ready, made, who))
        yield made
        end(served)
    if postgres:
        postgres.drop(url)


def ready(site: Site, who: Customer) -> bool:
    return bool(site.told(who.key, "/v1/balance")[1]["terms"] == "internal")


def test_idempotency_keys_are_of_a_project(site: Site) -> None:
    """One key, three projects, two organisations: three answers, and each is given again only
    where it was given."""
    named = "Idempotency-Key: the-same"
    first = {
        who.project: site.ask(who, CHAT, named, model="sim-echo", messages=say(who.project))
        for who in (site.a, site.b, site.more)
    }
    for who in (site.a, site.b, site.more):
        status, headers, body = site.ask(
            who, CHAT, named, model="sim-echo", messages=say(who.project)
        )
        assert (status, body) == (200, first[who.project][2])
        assert who.project in body.decode()
        assert headers["idempotent-replayed"] == "true"
    mine = site.ask(site.b, CHAT, named, model="sim-echo", messages=say(site.a.project))
    assert (mine[0], json.loads(mine[2])["error"]["code"]) == (409, "idempotency_key_reused")
    assert site.a.project not in mine[2].decode()


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_no_answer_is_cached(site: Site) -> None:
    """Asked by both, and twice by one: each is run."""
    before = len(site.behind.asked)
    for who in (site.a, site.a, site.b):
        assert site.ask(who, model="base", messages=HELLO)[0] == 200
    assert len(site.behind.asked) == before + 3


def test_engine_caches_are_salted_by_organisation(site: Site) -> None:
    salts = []
    for who in (site.a, site.b, site.more, site.a):
        site.ask(who, model="base", messages=HELLO, cache_salt="of my choice")
        salts.append(site.behind.asked[-1]["cache_salt"])
    first, other, same, again = salts
    assert first == same == again != other
    assert all(len(each) == 64 for each in salts)


@pytest.mark.parametrize("path", ["/v1/usage", "/v1/usage?group_by=key"])
def test_usage_is_of_a_project(site: Site, path: str) -> None:
    def requests(who: Customer) -> int:
        status, found = site.told(who.key, path)
        assert status == 200
        assert found["project_id"] == who.project
        return sum(each["requests"] for each in found["data"])

    before = {who.project: requests(who) for who in (site.a, site.b, site.more)}
    done = site.count("usage_record", "outcome = 'completed'")
    assert site.ask(site.a, model="sim-echo", messages=HELLO)[0] == 200
    eventually(lambda: site.count("usage_record", "outcome = 'completed'") == done + 1)
    assert requests(site.a) == before[site.a.project] + 1
    assert requests(site.b) == before[site.b.project]
    assert requests(site.more) == before[site.more.project]


def test_the_admin_api_shows_what_is_not_theirs_as_what_is_not_there(site: Site) -> None:
    """The key of an organisation's owner, at every object of the other one."""
    for path, unknown in (
        (f"organisations/{site.b.organisation}", f"organisations/{NOT_THERE}"),
        (f"projects/{site.b.project}", "projects/proj_" + "0" * 32),
        (f"keys/{site.b.key_id}", "keys/key_" + "0" * 32),
    ):
        own = path.replace(site.b.organisation, site.a.organisation)
        own = own.replace(site.b.project, site.a.project).replace(site.b.key_id, site.a.key_id)
        assert site.told(site.a.admin, f"/admin/v1/{own}")[0] == 200
        theirs = site.told(site.a.admin, f"/admin/v1/{path}")
        nobodys = site.told(site.a.admin, f"/admin/v1/{unknown}")
        assert theirs[0] == nobodys[0] == 404
        assert shape(theirs[1]) == shape(nobodys[1])
    for path in ("organisations", "projects", "keys"):
        listed = json.dumps(site.told(site.a.admin, f"/admin/v1/{path}")[1])
        assert site.a.organisation in listed or site.a.project in listed
        for foreign in (site.b.organisation, site.b.project, site.b.key_id):
            assert foreign not in listed


def test_what_happens_to_one_is_sent_to_nobody_else(site: Site) -> None:
    """Endpoints of both organisations, and one of a's that is for another project."""
    made = {}
    for name, who, of in (
        ("a", site.a, {"organisation_id": site.a.organisation}),
        ("more", site.a, {"project_id": site.more.project}),
        ("b", site.b, {"organisation_id": site.b.organisation}),
    ):
        wish = {"url": "https://hooks.example/same", **of}
        status, made[name] = site.does(who.admin, "/admin/v1/webhooks", wish)
        assert status == 200
    assert len({each["secret"] for each in made.values()}) == 3
    wish = {"project_id": site.a.project, "name": "short-lived"}
    _, key = site.does(site.a.admin, "/admin/v1/keys", wish)
    assert site.does(site.a.admin, f"/admin/v1/keys/{key['id']}/revoke", {})[0] == 200

    def sent(who: Customer, name: str) -> list[dict[str, Any]]:
        path = f"/admin/v1/webhooks/{made[name]['id']}/deliveries"
        return list(site.told(who.admin, path)[1]["data"])

    (delivery,) = sent(site.a, "a")
    assert delivery["kind"] == "key.revoked"
    assert sent(site.a, "more") == sent(site.b, "b") == []
    one, nobodys = f"/admin/v1/webhook_deliveries/{delivery['id']}", "msg_" + "0" * 32
    assert site.told(site.a.admin, one)[0] == 200
    for theirs, none in (
        (
            site.told(site.b.admin, one),
            site.told(site.b.admin, one.replace(delivery["id"], nobodys)),
        ),
        (
            site.does(site.b.admin, f"{one}/replay", {}),
            site.does(site.b.admin, f"/admin/v1/webhook_deliveries/{nobodys}/replay", {}),
        ),
        (
            site.does(site.b.admin, f"/admin/v1/webhooks/{made['a']['id']}/rotate", {}),
            site.does(site.b.admin, "/admin/v1/webhooks/whk_" + "0" * 32 + "/rotate", {}),
        ),
    ):
        assert theirs[0] == none[0] == 404
        assert shape(theirs[1]) == shape(none[1])


def shape(body: dict[str, Any]) -> dict[str, Any]:
    """Of a refusal: what it says, whatever the id."""
    error = body["error"]
    return {name: error[name] for name in ("type", "code", "param")}


def test_responses_and_conversations_are_of_a_project(site: Site) -> None:
    """On every path that reads, and in what a request may follow."""
    kept = json.loads(site.ask(site.a, RESPONSES, model="sim-echo", input="mine")[2])
    chat = json.loads(
        site.ask(site.a, "/v1/conversations", items=[{"role": "user", "content": "x"}])[2]
    )
    nobodys = {
        "response": "resp_" + "0" * 32,
        "item": "msg_" + "0" * 33,
        "chat": "conv_" + "0" * 32,
    }
    theirs = {"response": kept["id"], "item": kept["output"][0]["id"], "chat": chat["id"]}

    def told(who: Customer, ids: dict[str, str]) -> list[tuple[int, str]]:
        paths = (
            *(f"/v1/responses/{ids['response']}{more}" for more in ("", "/input_items")),
            *(f"/v1/conversations/{ids['chat']}{more}" for more in ("", "/items", "/items/msg_1")),
        )
        reference = [{"type": "item_reference", "id": ids["item"]}]
        asked = (
            {"input": "x", "previous_response_id": ids["response"]},
            {"input": "x", "conversation": ids["chat"]},
            {"input": reference},
        )
        answers = [get(site.served, path, who.key)[::2] for path in paths]
        answers += [site.ask(who, RESPONSES, model="sim-echo", **each)[::2] for each in asked]
        bodies = [(status, body.decode()) for status, body in answers]
        for name in ids.values():
            bodies = [(status, body.replace(name, "ID")) for status, body in bodies]
        return bodies

    nothing = told(site.b, nobodys)
    assert {status for status, _ in nothing} == {400, 404}
    assert told(site.b, theirs) == told(site.more, theirs) == nothing
    assert {status for status, _ in told(site.a, theirs)} == {200, 404}  # there is no such item


def test_one_customers_crowd_takes_nobody_elses_place(site: Site) -> None:
    """A key has so many requests at once; those of another customer are answered meanwhile."""
    crowd = []
    for _ in range(2):
        wire = Wire(replace(site.served, api_key=site.a.key))
        wire.ask(model="sim-stall", messages=HELLO, stream=True).read_until(b"data: ")
        crowd.append(wire)
    refused = site.ask(site.a, model="sim-echo", messages=HELLO)
    assert (refused[0], json.loads(refused[2])["error"]["code"]) == (429, "concurrency_exceeded")
    assert site.ask(site.b, model="sim-echo", messages=HELLO)[0] == 200
    for wire in crowd:
        wire.hang_up()
    eventually(lambda: site.count("usage_record", "outcome = 'running'") == 0)


def test_end_users_are_kept_nowhere_but_in_answers_that_are_kept(site: Site) -> None:
    """What names the person behind a request goes to the engine, or nowhere; an answer in Responses
    says it again, and is kept where that is asked for."""
    who, kept = new_canary(), new_canary()
    content = [{"role": "user", "parts": [{"text": "hi"}]}]
    for path, fields in (
        (CHAT, {"messages": HELLO, "user": who, "safety_identifier": who}),
        (RESPONSES, {"input": "hi", "user": who, "safety_identifier": who, "store": False}),
        (RESPONSES, {"input": "hi", "user": kept}),
        (MESSAGES, {"messages": HELLO, "max_tokens": 5, "metadata": {"user_id": who}}),
        (f"{GEMINI}/sim-echo:generateContent", {"contents": content, "labels": {"user": who}}),
    ):
        model = {} if path.startswith(GEMINI) else {"model": "sim-echo"}
        assert site.ask(site.a, path, **model, **fields)[0] == 200, path
    named = site.ask(
        site.a,
        RESPONSES,
        "Idempotency-Key: who",
        model="sim-echo",
        input="hi",
        user=kept,
        store=False,
    )
    assert named[0] == 200
    tables = site.database.read(_everything)
    assert not [name for name, text in tables.items() if any(f in text for f in forms(who))]
    assert {name for name, text in tables.items() if kept.encode() in text} == {
        "idempotency_key",
        "response",
    }


def _everything(connection: Any) -> dict[str, bytes]:
    """By table.  As tuples: rows themselves are shown with their long values cut."""
    return {
        name: repr(
            [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")]
        ).encode()
        for name in metadata.tables
    }

"""Models, usage, health and metrics, as a client sees them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from portico.app.spoken.dialects import spoken
from portico.callers.model import Caller
from portico.canon.data_use import DataUse
from portico.canon.usage import Meters
from portico.door.dispatch import Dispatch
from portico.door.endpoints import Health, MetricsPage, Models, Usage
from portico.door.endpoints.models import offered_by
from portico.door.origins import Origins
from portico.door.routes import Route, Routes
from portico.door.speech import Speech
from portico.kit.sealing import Seal
from portico.metering.model import GroupBy, Question, Totals
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.door.rooms import CALLER, PLAIN, Books, Scripted, says
from tests.door.scene import Answer, Watching, request, serving

pytestmark = pytest.mark.anyio

KEY = "Authorization: Bearer pk_good"
NOW_MS = 1_795_219_200_000  # 2026-11-21T00:00:00Z


class Clock:
    def monotonic_s(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return NOW_MS


class Desk:
    """Every endpoint, with scripted answers behind it."""

    def __init__(self, origins: Origins | None = None, token: str = "") -> None:
        self.questions: list[tuple[Question, GroupBy]] = []
        self.reasons: list[str] = []
        engine = Scripted(says(b""))
        ways = {
            "m": (
                Deployment("a/m", "m", engine, "us", 7),
                Deployment("b/m", "m", engine, "them", 8),
            ),
            "org/m:tag": (Deployment("c/m", "org/m:tag", engine, "them", 9),),
        }
        books = Books()
        models = Models(books, lambda _: ways)
        usage = Usage(books, self.ask_usage, Clock())
        health = Health(lambda: self.reasons)
        metrics = MetricsPage(lambda: b"portico_up 1\n", "text/plain", token)
        routes = Routes(
            [
                Route("GET", "/v1/models", models.all, scope="generate"),
                Route("GET", "/v1/models/{id}", models.one, scope="generate"),
                Route("GET", "/v1/usage", usage.own, scope="generate"),
                Route("GET", "/healthz", health.alive, scope="generate"),
                Route("GET", "/readyz", health.ready, scope="generate"),
                Route("GET", "/", health.alive, scope="generate"),
                Route("GET", "/metrics", metrics.show, scope="generate"),
            ]
        )
        self.dispatch = Dispatch(routes, PLAIN.render, Watching(), origins)

    async def ask_usage(self, question: Question, by: GroupBy) -> Mapping[str, Totals]:
        self.questions.append((question, by))
        return {"m": Totals(3, 1, Meters(input_text=10, input_cache_read=5, output_text=7))}

    async def get(self, path: str, *headers: str, method: str = "GET") -> Answer:
        async with serving(self.dispatch.serve) as scene:
            wire = await scene.connect()
            await wire.send(request(path, b"", *headers, method=method))
            return await wire.answer(head_only=method == "HEAD")


async def test_models_are_listed_in_openais_shape() -> None:
    answer = await Desk().get("/v1/models", KEY)
    assert answer.status == 200
    assert answer.json == {
        "object": "list",
        "data": [
            {"id": "m", "object": "model", "created": 7, "owned_by": "us"},
            {"id": "org/m:tag", "object": "model", "created": 9, "owned_by": "them"},
        ],
    }


@pytest.mark.parametrize("path", ["/v1/models/org/m:tag", "/v1/models/org%2Fm%3Atag"])
async def test_one_model_by_a_name_with_slash_and_colon(path: str) -> None:
    answer = await Desk().get(path, KEY)
    assert (answer.status, answer.json["id"]) == (200, "org/m:tag")
    assert (await Desk().get("/v1/models/other", KEY)).code == "model_not_found"


LISTED = {
    "openai": (["Authorization: Bearer pk_good"], lambda body: [m["id"] for m in body["data"]]),
    "anthropic": (
        ["x-api-key: pk_good", "anthropic-version: 2023-06-01"],
        lambda body: [m["id"] for m in body["data"]],
    ),
    "gemini": (
        ["x-goog-api-key: pk_good"],
        lambda body: [m["baseModelId"] for m in body["models"]],
    ),
}


class Shop(Books):
    """Sells some models; its one caller may make some use of some."""

    def __init__(self, caller: Caller, sold: set[str]) -> None:
        super().__init__()
        self.caller, self.sold = caller, sold

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        return self.caller

    def sells(self, caller: Caller, model: str) -> bool:
        return model in self.sold


@pytest.mark.parametrize("speech", LISTED)
async def test_only_what_may_be_used_is_there_in_every_shape(speech: Speech) -> None:
    engine = Scripted(says(b""))
    uses: dict[str, DataUse] = {"mine": "own", "promised": "no_training", "public": "may_train"}
    routing = Routing(
        Deployment(f"{at}/{name}", name, engine, "us", 0, use)
        for at, (name, use) in enumerate(
            [*uses.items(), ("unpriced", "own"), ("promised", "may_train")]
        )
    )

    async def answers(shop: Shop, path: str) -> Answer:
        words = spoken(Seal([b"s" * 32]), Clock())
        models = Models(shop, offered_by(routing, shop), words.shapes, words.others)
        routes = Routes(
            [
                Route("GET", "/v1/models", models.all, scope="generate"),
                Route("GET", "/v1/models/{id}", models.one, scope="generate"),
            ]
        )
        serve = Dispatch(routes, PLAIN.render, Watching(), None, words.others).serve
        async with serving(serve) as scene:
            return await scene.ask(request(path, b"", *LISTED[speech][0], method="GET"))

    for allowed, named, expected in (
        ("no_training", None, ["mine", "promised"]),
        ("own", None, ["mine"]),
        ("may_train", frozenset({"public", "unpriced"}), ["public"]),
    ):
        shop = Shop(replace(CALLER, data_use=allowed, models=named), {*uses})
        names = LISTED[speech][1]
        assert names((await answers(shop, "/v1/models")).json) == expected
        hidden = [name for name in (*uses, "unpriced") if name not in expected]
        for name in hidden:
            found = await answers(shop, f"/v1/models/{name}")
            unknown = await answers(shop, f"/v1/models/{'x' * len(name)}")
            assert (found.status, unknown.status) == (404, 404)
            assert told(found, name) == told(unknown, "x" * len(name))
            assert not any(other in told(found, name) for other in hidden if other != name)


def told(answer: Answer, name: str) -> str:
    """The body, but for what each request has of its own."""
    request_id = answer.headers.get("x-request-id") or answer.headers["request-id"]
    return answer.body.decode().replace(request_id, "ID").replace(name, "NAME")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/v1/usage"])
async def test_without_a_valid_key_there_is_nothing_to_see(path: str) -> None:
    for headers in ([], ["x-api-key: pk_bad"]):
        assert (await Desk().get(path, *headers)).status == 401


async def test_usage_is_the_callers_own_for_the_last_thirty_days() -> None:
    desk = Desk()
    answer = await desk.get("/v1/usage", KEY)
    assert answer.status == 200
    question, by = desk.questions[0]
    assert (question.project_id, by) == ("proj_a", "model")
    assert (question.since_ms, question.until_ms) == (NOW_MS + 1 - 30 * 86_400_000, NOW_MS + 1)
    assert answer.json["since"] == "2026-10-22T00:00:00Z"
    (row,) = answer.json["data"]
    assert (row["model"], row["requests"], row["estimated_requests"]) == ("m", 3, 1)
    assert (row["input_tokens"], row["output_tokens"]) == (15, 7)
    assert row["meters"] == {"input_text": 10, "input_cache_read": 5, "output_text": 7} | {
        name: 0
        for name in row["meters"]
        if name not in ("input_text", "input_cache_read", "output_text")
    }


@pytest.mark.parametrize(
    ("query", "since_ms", "by"),
    [
        ("since=1795000000&until=1795100000&group_by=hour", 1_795_000_000_000, "hour"),
        ("since=2026-11-20&group_by=key", NOW_MS - 86_400_000, "key"),
        ("since=2026-11-20T02:00:00%2B02:00&group_by=day", NOW_MS - 86_400_000, "day"),
        ("since=2026-11-20T02:00:00+02:00", NOW_MS - 86_400_000, "model"),
        ("since=2026-11-20T00:00:00Z&since_unknown=1", NOW_MS - 86_400_000, "model"),
        (f"since=2026-11-20&request_id=req_{'0' * 32}", NOW_MS - 86_400_000, "request"),
        (f"since=2026-11-20&request_id=req_{'0' * 32}&group_by=key", NOW_MS - 86_400_000, "key"),
    ],
)
async def test_usage_understands_dates_and_groups(query: str, since_ms: int, by: str) -> None:
    desk = Desk()
    assert (await desk.get(f"/v1/usage?{query}", KEY)).status == 200
    assert (desk.questions[0][0].since_ms, desk.questions[0][1]) == (since_ms, by)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group_by=tenant", "group_by"),
        ("group_by=request", "group_by"),
        ("request_id=", "request_id"),
        ("request_id=req_%25", "request_id"),
        ("request_id=resp_" + "0" * 32, "request_id"),
        ("since=yesterday", "since"),
        ("until=-5", "until"),
        ("since=99999999999999999999", "since"),
        ("since=2026-13-40", "since"),
        ("since=2026-11-20&until=2026-11-19", "since"),
        ("since=0001-01-01T00:00:00%2B23:00", "since"),
    ],
)
async def test_usage_names_the_parameter_it_cannot_use(query: str, field: str) -> None:
    answer = await Desk().get(f"/v1/usage?{query}", KEY)
    assert answer.status == 400
    assert f"'{field}'" in answer.json["error"]["message"]


async def test_health_needs_no_key_and_readiness_gives_its_reasons() -> None:
    desk = Desk()
    for path in ("/healthz", "/readyz", "/"):
        assert (await desk.get(path)).status == 200
    assert (await desk.get("/", method="HEAD")).status == 200
    desk.reasons = ["no engine is ready"]
    answer = await desk.get("/readyz")
    assert (answer.status, answer.json["reasons"]) == (503, ["no engine is ready"])
    assert (await desk.get("/healthz")).status == 200


async def test_metrics_are_open_unless_a_token_guards_them() -> None:
    assert (await Desk().get("/metrics")).body == b"portico_up 1\n"
    guarded = Desk(token="scrape")
    assert (await guarded.get("/metrics")).status == 401
    assert (await guarded.get("/metrics", "Authorization: Bearer wrong")).status == 401
    assert (await guarded.get("/metrics", "Authorization: Bearer scrape")).status == 200


PAGE = "Origin: https://app.example"
PREFLIGHT = "Access-Control-Request-Method: GET"


async def test_browsers_are_let_in_only_where_the_operator_said_so() -> None:
    nowhere = await Desk().get("/v1/models", PAGE, PREFLIGHT, method="OPTIONS")
    assert nowhere.status == 405
    assert "access-control-allow-origin" not in nowhere.headers
    desk = Desk(Origins(frozenset({"https://app.example"})))
    wanted = "Access-Control-Request-Headers: authorization"
    preflight = await desk.get("/v1/models", PAGE, PREFLIGHT, wanted, method="OPTIONS")
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    for path, status in (("/v1/models", 401), ("/nowhere", 404)):
        answer: Any = await desk.get(path, PAGE)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
    other = await desk.get("/v1/models", "Origin: https://evil.example", PREFLIGHT)
    assert "access-control-allow-origin" not in other.headers

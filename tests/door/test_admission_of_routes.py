"""Nothing runs that was not admitted: every route either asks admission, or runs nothing."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

import portico
from portico import errors, journey
from portico.app.administering import administering
from portico.app.door import Door
from portico.app.identity import Identity
from portico.app.judging.moderating import moderation_of
from portico.app.resources import Kept
from portico.app.spoken.dialects import spoken
from portico.callers.deputies import Deputies
from portico.callers.model import Caller
from portico.callers.presence import Presence
from portico.callers.salts import Salts
from portico.canon.prompt import Feature
from portico.engines.base import Abilities
from portico.keeping.room import Room
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.observe.metrics import Metrics
from portico.routing.model import Deployment
from portico.routing.service import Routing
from portico.settings import load
from tests.door.rooms import CALLER, Scripted, says
from tests.door.scene import request, serving

pytestmark = pytest.mark.anyio

RUN_NOTHING = {
    ("GET", "/v1/responses"),  # a WebSocket: each of its requests asks, see test_websocket.py
    ("POST", "/v1/preflight"),
    *(
        ("POST", f"/v1/preflight/{endpoint}")
        for endpoint in (
            "completions",
            "embeddings",
            "responses",
            "messages",
            "models/{id}:generateContent",
            "models/{id}:streamGenerateContent",
            "models/{id}:embedContent",
            "models/{id}:batchEmbedContents",
        )
    ),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/moderations"),  # a guard is asked, within a bound of its own
    ("POST", "/v1/responses/compact"),
    ("POST", "/v1/responses/{id}/cancel"),
    ("POST", "/v1/batches"),
    ("GET", "/v1/batches"),
    ("GET", "/v1/batches/{id}"),
    ("POST", "/v1/batches/{id}/cancel"),
    ("GET", "/v1/responses/{id}"),
    ("DELETE", "/v1/responses/{id}"),
    ("GET", "/v1/responses/{id}/input_items"),
    ("POST", "/v1/conversations"),
    *(
        (method, f"/v1/conversations/{path}")
        for path, methods in (
            ("{id}", ("GET", "POST", "DELETE")),
            ("{id}/items", ("GET", "POST")),
            ("{id}/items/{item}", ("GET", "DELETE")),
        )
        for method in methods
    ),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/{id}"),
    ("DELETE", "/v1/messages/batches/{id}"),
    ("POST", "/v1/messages/batches/{id}/cancel"),
    ("GET", "/v1/messages/batches/{id}/results"),
    ("POST", "/v1/responses/input_tokens"),
    *(
        way
        for root in ("/v1", "/v1beta", "/v1alpha")
        for way in (
            ("GET", f"{root}/models"),
            ("GET", f"{root}/models/{{id}}"),
            ("POST", f"{root}/models/{{id}}:countTokens"),
        )
    ),
    ("GET", "/v1/usage"),
    ("GET", "/v1/balance"),
    ("GET", "/v1/limits"),
    ("GET", "/v1/prices"),
    ("GET", "/healthz"),
    ("GET", "/health"),
    ("GET", "/"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/ephemeral_keys"),
    *(
        (method, path)
        for path, methods in {
            "/v1/files": ("GET", "POST"),
            "/v1/files/{id}": ("GET", "DELETE"),
            "/v1/files/{id}/content": ("GET",),
            "/v1/uploads": ("POST",),
            "/v1/uploads/{id}/parts": ("POST",),
            "/v1/uploads/{id}/complete": ("POST",),
            "/v1/uploads/{id}/cancel": ("POST",),
        }.items()
        for method in methods
    ),
    ("POST", "/invitations/accept"),
    ("POST", "/security/leaked-keys"),
    ("GET", "/security/key-pattern"),
}
"""A route that is not listed here has to reach `Admission.admit` before anything else happens."""

SEAL = Seal([b"s" * 32])
BODIES = {
    path: json.dumps({**dialect.specimen, "model": "m"}).encode()
    for path, dialect in spoken(SEAL, SystemClock()).generating.items()
}


NO_FILES: Any = None
ABLE = Abilities(frozenset[Feature](get_args(Feature)), None, 10_000)


NOTHING: Any = Kept(NO_FILES, NO_FILES)


class Rooms:
    """Everything behind the door; admission lets nobody in and notes who asked."""

    draining, storage_refusal, running, waiting = False, None, 0, 0
    claims = locks = reports = long = None
    owner = "inst_1"
    admission = None
    room = Room(1, SystemClock())

    def __init__(self) -> None:
        self.asked = 0

    @property
    def writer(self) -> "Rooms":
        return self

    @property
    def rates(self) -> "Rooms":
        return self

    def rules_of(self, _: Caller) -> list[Any]:
        return []

    async def run(self, change: Any) -> Any:
        raise AssertionError("nothing is written here")

    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        return CALLER

    def offer(self, *_: Any) -> None:
        return None

    def output_tokens_max(self, *_: Any) -> int:
        return 1

    def places_lines(self, _: Caller) -> bytes:
        return b""

    async def standing(self, _: Caller) -> None:
        return None

    async def admit(self, *_: Any) -> Any:
        self.asked += 1
        raise errors.OVERLOADED("Nobody is let in.")


def door(rooms: Rooms) -> Door:
    routing = Routing([Deployment("a/m", "m", Scripted(says(b"never"), abilities=ABLE), "us", 0)])
    behind: Any = rooms
    made = journey.Rooms(behind, routing, behind, behind, behind)
    salts = Salts(b"s" * 32, "organisation")
    clock = SystemClock()
    presence = Presence(behind, clock, behind)
    who = Identity((), behind, presence, behind, salts, SEAL, Deputies(behind, clock), presence)
    settings, metrics = load(environment={}), Metrics()
    judging = moderation_of(settings, behind, behind, metrics, clock)
    also = tuple(administering(who, behind, clock))
    return Door(settings, made, behind, behind, metrics, clock, who, NOTHING, judging, also)


def routes() -> list[tuple[str, str]]:
    books: Any = Rooms()
    books.standings = books.prices = books
    return [(route.method, route.name) for route in door(books).routes.all]


@pytest.mark.parametrize(("method", "name"), sorted(set(routes()) - RUN_NOTHING))
async def test_a_route_that_may_run_something_asks_admission(method: str, name: str) -> None:
    rooms: Any = Rooms()
    rooms.standings = rooms.prices = rooms
    made = door(rooms)
    found, rest = made.routes.find(method, name.replace("{id}", "m"))

    async def serve(exchange: Any) -> None:
        try:
            await found.handle(exchange, rest)
        except errors.Refusal as refusal:
            exchange.reply(refusal.status, b"", b"")

    async with serving(serve) as scene:
        wire = await scene.connect()
        await wire.send(request(name, BODIES[name], "Authorization: Bearer pk_good", method=method))
        answer = await wire.answer()
    assert rooms.asked == 1
    assert answer.status == errors.OVERLOADED.status


def test_what_runs_nothing_is_there() -> None:
    """The list above names no route that is gone, under which another could hide."""
    assert set(routes()) >= RUN_NOTHING


RUN_AN_ENGINE = {
    "journey.py",
    "routing/unplugged.py",  # an engine in an engine's place: the journey asks it
    "engines/provider/probe.py",  # an operator's question, when a deployment is added
}


def test_only_the_journey_runs_an_engine() -> None:
    package = Path(portico.__file__).parent
    callers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"engine\.generate\(", path.read_text())
    }
    assert callers == RUN_AN_ENGINE

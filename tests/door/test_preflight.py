"""POST /v1/preflight: everything about a request that can be known without running it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from portico import errors
from portico.admission.standing import Standing, Window
from portico.app.preflight import preflights
from portico.app.spoken.dialects import spoken
from portico.callers.model import Caller
from portico.canon.prompt import Feature, Prompt
from portico.door.dispatch import Dispatch
from portico.door.endpoints.preflight import Desks, Intake
from portico.door.intake.media import Media
from portico.door.routes import Routes
from portico.engines.base import Abilities
from portico.kit.sealing import Seal
from portico.ledger.model import Account, Limit
from portico.pricing.media import image_bound
from portico.pricing.model import Pinned, Quote
from portico.pricing.offer import Offer
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.dialects.openai_chat.bodies import PNG, data_url, encoded, image
from tests.door.rooms import CALLER, Books, Scripted, says
from tests.door.scene import Answer, Watching, request, serving
from tests.door.test_chat import CHAT
from tests.door.test_endpoints import Clock
from tests.door.test_media import URL, chat, media
from tests.kit.test_fetch import answer as file
from tests.kit.test_fetch import outside, saying

pytestmark = pytest.mark.anyio

KEY = "Authorization: Bearer pk_good"
PATH = "/v1/preflight"
WORDS = spoken(Seal([b"s" * 32]), Clock())
ABLE = frozenset[Feature]({"image", "choices", "embeddings", "completions"})
PRICES = (Pinned("price_1", "input_text", 0, 1_000_000_000),)
QUOTE = Quote(
    model="m", tier="standard", terms_id="t", share_numerator=1, share_denominator=1, prices=PRICES
)
OFFER = Offer(QUOTE, "{}", 400, 10, 10, 50, 1_000)


def funds(nano: int) -> Account:
    return Account("prepaid:org_a", "prepaid", "org_a", nano, 0, 0, 50, None, 0)


def window(remaining_nano: int) -> Window:
    limit = Limit("limit:bud_1:0", "key", "key_a", "day", 1_000, 1_795_305_600_000)
    return Window(limit, 1_000 - remaining_nano, 0, remaining_nano)


class Desk:
    """Preflight with a scripted price and a scripted standing behind it."""

    def __init__(
        self,
        offer: Offer | errors.Refusal | None = None,
        accounts: Sequence[Account] = (),
        windows: Sequence[Window] = (),
        books: Books | None = None,
        media: Media | None = None,
    ) -> None:
        self._offer = offer
        self._standing = Standing(tuple(accounts), tuple(windows))
        self.engine = Scripted(says(b"never asked"))
        self.engine.abilities = Abilities(ABLE, None, 1)
        ways = [
            Deployment("a/m", "m", self.engine, "us", 7),
            Deployment("b/m", "m", self.engine, "them", 8),
        ]
        desks = Desks(books or Books(), Routing(ways), self, self)
        intake = Intake(10_000, True, media)
        routes = Routes(preflights(WORDS, desks, intake, Clock()))
        self.dispatch = Dispatch(routes, CHAT.render, Watching(), None, WORDS.others)

    def output_tokens_max(self, prompt: Prompt, context_tokens: int | None) -> int:
        return prompt.output_tokens_max or 100

    def offer(self, payer: Caller, prompt: Prompt, context_tokens: int | None) -> Offer | None:
        if isinstance(self._offer, errors.Refusal):
            raise self._offer
        return self._offer

    async def of(self, caller: Caller) -> Standing:
        return self._standing

    async def ask(self, body: bytes, *headers: str, at: str = PATH) -> Answer:
        async with serving(self.dispatch.serve) as scene:
            wire = await scene.connect()
            await wire.send(request(at, body, *(headers or (KEY,))))
            return await wire.answer()

    async def told(self, body: bytes, at: str = PATH) -> dict[str, Any]:
        answer = await self.ask(body, at=at)
        assert answer.status == 200
        told: dict[str, Any] = answer.json
        return told


def codes(told: dict[str, Any]) -> list[str]:
    return [each["code"] for each in told["violations"]]


async def test_a_valid_request_is_told_where_it_would_go_and_what_it_costs_at_most() -> None:
    desk = Desk(OFFER, [funds(400)], [window(400)])
    body = encoded(max_tokens=7, n=2)
    assert await desk.told(body) == {
        "object": "preflight",
        "endpoint": "/v1/chat/completions",
        "valid": True,
        "violations": [],
        "complete": True,
        "model": "m",
        "service_tier": "standard",
        "deployment": "a/m",
        "fallbacks": ["b/m"],
        "tokens": {
            "input": {"text": {"at_most": len(body), "about": len(body) // 4}},
            "output": {"text": {"at_most": 14}},
            "context": None,
        },
        "price": {
            "currency": "USD",
            "worst_nano_usd": "1000",
            "held_first_nano_usd": "400",
            "prices": [
                {
                    "meter": "input_text",
                    "above_input_tokens": 0,
                    "nano_usd_per_million": "1000000000",
                }
            ],
        },
        "warnings": [],
    }
    assert desk.engine.asked == []


async def test_what_costs_nothing_says_so() -> None:
    told = await Desk(None).told(encoded())
    assert told["valid"]
    assert told["price"]["worst_nano_usd"] == "0"


async def test_everything_that_is_wrong_is_told_at_once() -> None:
    priceless = errors.NOT_PRICED("No price.", field="model")
    told = await Desk(priceless).told(encoded(temperature=9, n=0, tools=[{"type": "function"}]))
    assert not told["valid"]
    assert [each["param"] for each in told["violations"]] == [
        "temperature",
        "n",
        "tools[0].function",
        "model",
    ]
    first = told["violations"][0]
    assert (first["status"], first["retryable"], first["limit"]) == (400, False, 2)
    assert told["tokens"] is told["price"] is None


async def test_an_unknown_model_is_told_beside_what_is_wrong_with_the_body() -> None:
    told = await Desk().told(encoded(model="who", n=0))
    assert codes(told) == ["out_of_range", "model_not_found"]


async def test_a_model_that_is_no_name_is_not_looked_for() -> None:
    assert codes(await Desk().told(encoded(model=5))) == ["invalid_type"]


@pytest.mark.parametrize(
    ("accounts", "windows", "expected"),
    [
        ([funds(399)], [], ["credit_balance_exhausted"]),
        ([], [], ["credit_balance_exhausted"]),
        ([funds(400)], [window(399)], ["key_spend_limit_exceeded"]),
        ([funds(0)], [window(0)], ["key_spend_limit_exceeded", "credit_balance_exhausted"]),
        ([funds(400)], [window(400)], []),
    ],
)
async def test_funds_that_do_not_reach_are_told(
    accounts: list[Account], windows: list[Window], expected: list[str]
) -> None:
    told = await Desk(OFFER, accounts, windows).told(encoded())
    assert codes(told) == expected
    assert told["valid"] is not bool(expected)


class StrictBooks(Books):
    async def verify(self, credential: str, scope: str, address: str) -> Caller:
        return replace(CALLER, compatibility="strict")


async def test_what_a_strict_key_is_refused_is_told() -> None:
    told = await Desk(books=StrictBooks()).told(encoded(mystery=1))
    assert codes(told) == ["unknown_field"]
    assert codes(await Desk().told(encoded(mystery=1))) == []


async def test_media_are_counted_apart() -> None:
    url = data_url(PNG)
    body = encoded(messages=[{"role": "user", "content": [image(url)]}])
    tokens = (await Desk().told(body))["tokens"]["input"]
    assert set(tokens) == {"text", "image"}
    assert tokens["text"]["at_most"] == len(body) - len(url.partition(",")[2])
    assert tokens["image"]["at_most"] == image_bound(url)


async def test_a_body_that_is_no_json_is_told_as_the_one_thing_known() -> None:
    told = await Desk().told(b"{")
    assert (codes(told), told["complete"], told["model"]) == (["invalid_json"], False, None)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", ("Accept: */*",), 401),
        (b"x" * 10_001, (KEY,), 413),
        (b"{}", (KEY, "Content-Encoding: shell"), 415),
    ],
)
async def test_what_is_wrong_with_the_asking_is_refused(
    body: bytes, headers: tuple[str, ...], status: int
) -> None:
    answer = await Desk().ask(body, *headers)
    assert answer.status == status
    assert json.loads(answer.body)["error"]["code"]


GENERATE = "/v1/preflight/models/m:generateContent"
WORDS_OF = {
    PATH: {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    f"{PATH}/completions": {"model": "m", "prompt": "x"},
    f"{PATH}/embeddings": {"model": "m", "input": "x"},
    f"{PATH}/responses": {"model": "m", "input": "x"},
    f"{PATH}/messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
    },
    GENERATE: {"contents": [{"parts": [{"text": "x"}]}]},
    f"{PATH}/models/m:streamGenerateContent": {"contents": [{"parts": [{"text": "x"}]}]},
    f"{PATH}/models/m:embedContent": {"content": {"parts": [{"text": "x"}]}},
    f"{PATH}/models/m:batchEmbedContents": {"requests": [{"content": {"parts": [{"text": "x"}]}}]},
}
"""The smallest request to every endpoint that generates."""


def test_every_endpoint_that_generates_can_be_asked_about() -> None:
    behind = {path.removeprefix("/v1").replace("{id}", "m") for path in WORDS.generating}
    own = {at.removeprefix(PATH) or "/chat/completions" for at in WORDS_OF}
    assert {path for path in behind if not path.startswith(("beta", "alpha"))} == own


@pytest.mark.parametrize("at", WORDS_OF)
async def test_a_valid_request_in_every_dialect(at: str) -> None:
    desk = Desk(OFFER, [funds(400)])
    body = json.dumps(WORDS_OF[at]).encode()
    told = await desk.told(body, at)
    assert (told["valid"], told["violations"], told["model"]) == (True, [], "m")
    assert told["endpoint"] == "/v1" + (at.removeprefix(PATH) or "/chat/completions")
    assert told["price"]["worst_nano_usd"] == "1000"
    assert told["tokens"]["input"]["text"]["at_most"] == len(body)
    assert desk.engine.asked == []


@pytest.mark.parametrize(
    ("at", "wrong", "named"),
    [
        (f"{PATH}/completions", {"n": 0, "best_of": "x"}, ["n", "best_of"]),
        (f"{PATH}/embeddings", {"dimensions": 0, "encoding_format": "x"}, ["dimensions"]),
        (f"{PATH}/responses", {"temperature": 9, "top_p": 7}, ["temperature", "top_p"]),
        (f"{PATH}/messages", {"temperature": 9, "top_p": 7}, ["temperature", "top_p"]),
        (
            GENERATE,
            {"generationConfig": {"temperature": 9, "topP": 7}},
            ["generationConfig.temperature", "generationConfig.topP"],
        ),
    ],
)
async def test_all_that_is_wrong_in_every_dialect(
    at: str, wrong: dict[str, Any], named: list[str]
) -> None:
    told = await Desk().told(json.dumps(WORDS_OF[at] | wrong).encode(), at)
    assert not told["valid"]
    assert [each["param"] for each in told["violations"]][: len(named)] == named
    assert {each["status"] for each in told["violations"]} == {400}


@pytest.mark.parametrize(
    ("at", "cap", "name", "status"),
    [
        (PATH, {"max_tokens": 9_000}, "max_completion_tokens", 400),
        (f"{PATH}/responses", {"max_output_tokens": 9_000}, "max_output_tokens", 400),
        (f"{PATH}/messages", {"max_tokens": 9_000}, "max_tokens", 400),
        (
            GENERATE,
            {"generationConfig": {"maxOutputTokens": 9_000}},
            "generationConfig.maxOutputTokens",
            400,
        ),
    ],
)
async def test_rooms_behind_name_fields_as_the_dialect_does(
    at: str, cap: dict[str, Any], name: str, status: int
) -> None:
    desk = Desk()
    desk.engine.abilities = Abilities(ABLE, 1_000, 1)
    (violation,) = (await desk.told(json.dumps(WORDS_OF[at] | cap).encode(), at))["violations"]
    assert (violation["code"], violation["status"]) == ("context_length_exceeded", status)
    assert violation["param"] == name
    assert f"'{name}'" in violation["message"]


async def test_a_status_is_that_of_the_dialect() -> None:
    body = json.dumps(WORDS_OF[f"{PATH}/messages"]).encode()
    (violation,) = (await Desk(OFFER).told(body, f"{PATH}/messages"))["violations"]
    assert (violation["code"], violation["status"]) == ("credit_balance_exhausted", 402)


async def test_files_by_url_are_fetched_where_the_request_would_fetch_them() -> None:
    body = json.dumps(chat(URL)).encode()
    assert codes(await Desk().told(body)) == ["media_url_not_supported"]
    async with outside(saying(file(PNG))) as net:
        told = await Desk(media=media(net)).told(body)
    assert (told["valid"], told["violations"]) == (True, [])
    assert told["tokens"]["input"]["image"]["at_most"] == image_bound(data_url(PNG))


async def test_a_file_that_cannot_be_fetched_is_told_beside_what_else_is_wrong() -> None:
    body = json.dumps({**chat(URL, "http://x.example/b.png"), "n": 0}).encode()
    async with outside(saying(file(b"no picture"))) as net:
        told = await Desk(media=media(net)).told(body)
    assert [(each["code"], each["param"]) for each in told["violations"]] == [
        ("invalid_media", "messages[0].content[0].image_url.url"),
        ("out_of_range", "n"),
    ]
    assert not told["complete"]
    async with outside(saying(file(PNG))) as net:
        told = await Desk(media=media(net)).told(b"{")
    assert codes(told) == ["invalid_json"]

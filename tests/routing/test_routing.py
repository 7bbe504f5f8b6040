"""The model decides where a prompt may go; what it needs decides who is able."""

from dataclasses import replace

import pytest

from portico import errors
from portico.canon.prompt import Feature, Prompt
from portico.engines.base import Abilities, Relay
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.journeys.world import PROMPT


class Engine:
    def __init__(
        self, *features: Feature, context: int | None = None, places: int = 4, ready: bool = True
    ) -> None:
        self.abilities = Abilities(frozenset(features), context, places)
        self.ready = ready

    async def generate(self, prompt: Prompt, relay: Relay) -> None: ...

    async def close(self) -> None: ...


def deployment(name: str, engine: Engine, model: str = "m") -> Deployment:
    return Deployment(name, model, engine, "us", 0)


def refusal(routing: Routing, prompt: Prompt) -> errors.Refusal:
    with pytest.raises(errors.Refusal) as caught:
        routing.choose(prompt)
    return caught.value


def test_deployments_in_the_order_they_were_listed() -> None:
    routing = Routing([deployment("a", Engine()), deployment("b", Engine(places=2))])
    routes = routing.choose(PROMPT)
    assert [d.id for d in routes.deployments] == ["a", "b"]
    assert routes.places == 6


def test_the_ready_ones_first_and_all_of_them_when_none_is() -> None:
    asleep = deployment("a", Engine(ready=False))
    routing = Routing([asleep, deployment("b", Engine())])
    assert [d.id for d in routing.choose(PROMPT).deployments] == ["b", "a"]
    assert [d.id for d in Routing([asleep]).choose(PROMPT).deployments] == ["a"]


def test_404_names_the_model_and_those_there_are() -> None:
    found = refusal(Routing([deployment("a", Engine())]), replace(PROMPT, model="gpt-x"))
    assert (found.status, found.field, found.value, found.limit) == (404, "model", "gpt-x", ["m"])


def test_400_names_what_the_model_cannot_do() -> None:
    routing = Routing([deployment("a", Engine("tools"))])
    found = refusal(routing, replace(PROMPT, needs=frozenset({"image", "tools"})))
    assert (found.status, found.code, found.limit) == (400, "unsupported_feature", ["tools"])
    assert "image" in found.message


def test_only_those_that_can_do_it_are_tried() -> None:
    routing = Routing([deployment("a", Engine()), deployment("b", Engine("image"))])
    routes = routing.choose(replace(PROMPT, needs=frozenset({"image"})))
    assert [d.id for d in routes.deployments] == ["b"]


def test_400_when_the_output_cap_is_larger_than_every_context() -> None:
    routing = Routing([deployment("a", Engine(context=100)), deployment("b", Engine(context=200))])
    found = refusal(routing, replace(PROMPT, output_tokens_max=200))
    assert (found.code, found.value, found.limit) == ("context_length_exceeded", 200, 200)
    fits = routing.choose(replace(PROMPT, output_tokens_max=150))
    assert [d.id for d in fits.deployments] == ["b"]


def test_models_are_swapped_whole() -> None:
    routing = Routing([deployment("a", Engine())])
    before = routing.choose(PROMPT)
    routing.replace([deployment("b", Engine(), model="other")])
    assert list(routing.models()) == ["other"]
    assert [d.id for d in before.deployments] == ["a"]

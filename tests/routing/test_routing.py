"""The model decides where a prompt may go; what it needs decides who is able."""

import pytest
from msgspec.structs import replace

from portico import errors
from portico.canon.data_use import DATA_USES
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
        routing.choose(prompt, "no_training")
    return caught.value


def test_deployments_in_the_order_they_were_listed() -> None:
    routing = Routing([deployment("a", Engine()), deployment("b", Engine(places=2))])
    routes = routing.choose(PROMPT, "no_training")
    assert [d.id for d in routes.deployments] == ["a", "b"]
    assert routes.places == 6


def test_models_whose_engines_do_what_a_project_forbids_are_left_out() -> None:
    own, promised, public = (
        Deployment(name, "m", Engine(), "us", 0, use)
        for name, use in zip("abc", DATA_USES, strict=True)
    )
    routing = Routing([own, promised, public])
    for allowed, expected in zip(DATA_USES, ("a", "ab", "abc"), strict=True):
        found = routing.choose(PROMPT, allowed).deployments
        assert "".join(each.id for each in found) == expected


def test_403_when_a_project_forbids_all_there_is() -> None:
    routing = Routing([Deployment("a", "m", Engine(), "us", 0, "may_train")])
    with pytest.raises(errors.Refusal) as caught:
        routing.choose(PROMPT, "no_training")
    found = caught.value
    assert (found.status, found.code, found.limit) == (403, "data_use_not_allowed", "no_training")
    assert "own" not in found.message


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
    routes = routing.choose(replace(PROMPT, needs=frozenset({"image"})), "no_training")
    assert [d.id for d in routes.deployments] == ["b"]


def test_400_when_the_output_cap_is_larger_than_every_context() -> None:
    routing = Routing([deployment("a", Engine(context=100)), deployment("b", Engine(context=200))])
    found = refusal(routing, replace(PROMPT, output_tokens_max=200))
    assert (found.code, found.value, found.limit) == ("context_length_exceeded", 200, 200)
    fits = routing.choose(replace(PROMPT, output_tokens_max=150), "no_training")
    assert [d.id for d in fits.deployments] == ["b"]


def test_models_are_swapped_whole() -> None:
    routing = Routing([deployment("a", Engine())])
    before = routing.choose(PROMPT, "no_training")
    routing.replace([deployment("b", Engine(), model="other")])
    assert list(routing.models()) == ["other"]
    assert [d.id for d in before.deployments] == ["a"]

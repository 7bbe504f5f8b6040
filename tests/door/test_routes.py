import pytest

from portico import errors
from portico.door.exchange import Exchange
from portico.door.routes import Route, Routes


async def handle(exchange: Exchange, rest: str) -> None:
    raise AssertionError("never called here")


ROUTES = Routes(
    [
        Route("POST", "/v1/chat/completions", handle, scope="generate"),
        Route("GET", "/v1/models", handle, scope="generate"),
        Route("GET", "/v1/models/{id}", handle, scope="generate"),
        Route("DELETE", "/v1/models/{id}", handle, scope="generate"),
        Route("POST", "/v1/models/{id}:embed", handle, scope="generate"),
        Route("GET", "/v1/parts/{id}/items", handle, scope="generate"),
        Route("GET", "/v1/parts/{id}/items/{item}", handle, scope="generate"),
        Route("POST", "/v1/parts/{id}", handle, scope="generate"),
        Route("GET", "/", handle, scope="generate"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "name", "rest"),
    [
        ("POST", "/v1/chat/completions", "/v1/chat/completions", ""),
        ("GET", "/v1/models", "/v1/models", ""),
        ("HEAD", "/v1/models", "/v1/models", ""),
        ("GET", "/v1/models/org/name:tag/x", "/v1/models/{id}", "org/name:tag/x"),
        ("DELETE", "/v1/models/a", "/v1/models/{id}", "a"),
        ("POST", "/v1/models/org/name:tag:embed", "/v1/models/{id}:embed", "org/name:tag"),
        ("GET", "/v1/models/name:embed", "/v1/models/{id}", "name:embed"),
        ("GET", "/v1/models/:embed", "/v1/models/{id}", ":embed"),
        ("GET", "/v1/parts/a/items", "/v1/parts/{id}/items", "a"),
        ("GET", "/v1/parts/a/items/b", "/v1/parts/{id}/items/{item}", "a/b"),
        ("HEAD", "/v1/parts/a/items/b", "/v1/parts/{id}/items/{item}", "a/b"),
        ("POST", "/v1/parts/a/items/", "/v1/parts/{id}", "a/items/"),
        ("HEAD", "/", "/", ""),
    ],
)
def test_a_known_path_is_found(method: str, path: str, name: str, rest: str) -> None:
    route, found = ROUTES.find(method, path)
    assert (route.name, found) == (name, rest)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/v1/models", "/v1/models"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/models/", "/v1/models"),
        ("/v1/v1/models/a:b:embed", "/v1/models/a:b:embed"),
        ("/models/a:embed", "/v1/models/a:embed"),
        ("/v2/nothing", ""),
        ("/v1/chat/completions/../models", ""),
    ],
)
def test_an_unknown_path_is_refused_with_what_was_meant(path: str, meant: str) -> None:
    with pytest.raises(errors.Refusal) as refused:
        ROUTES.find("POST", path)
    assert refused.value.code == "not_found"
    assert (f"Did you mean {meant}?" in refused.value.told) == bool(meant)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    for method, path, allowed in (
        ("GET", "/v1/chat/completions", ["POST"]),
        ("OPTIONS", "/v1/models", ["GET", "HEAD"]),
        ("POST", "/v1/models/a", ["DELETE", "GET", "HEAD"]),
        ("POST", "/v1/models/a:other", ["DELETE", "GET", "HEAD"]),
        ("POST", "/v1/models/:embed", ["DELETE", "GET", "HEAD"]),
    ):
        with pytest.raises(errors.Refusal) as refused:
            ROUTES.find(method, path)
        assert refused.value.code == "method_not_allowed"
        assert refused.value.limit == allowed


def test_a_page_learns_every_method_of_a_path() -> None:
    assert ROUTES.methods("/v1/models/a:embed") == ["DELETE", "GET", "POST"]
    assert ROUTES.methods("/v1/models/a") == ["DELETE", "GET"]
    assert ROUTES.methods("/v2") == []


def test_a_name_with_something_else_behind_it_is_told_what_may_stand_there() -> None:
    with pytest.raises(errors.Refusal, match="With POST, it ends in :embed"):
        ROUTES.find("POST", "/v1/models/a:other")
    with pytest.raises(errors.Refusal) as deleted:
        ROUTES.find("PUT", "/v1/models/a:other")
    assert "ends in" not in deleted.value.message

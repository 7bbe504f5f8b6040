"""Which handler answers which method and path."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from portico import errors
from portico.door.exchange import Exchange

Handle = Callable[[Exchange, str], Awaitable[None]]
"""Answers an exchange; the second argument is what `{id}` stood for, "" without one."""

_REST = "{id}"
_ITEM = "{item}"
"""May stand at the end of what stands behind `{id}`; a handler is given both, with a slash between."""
_API = "/v1"
JSON, FORM = "application/json", "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Route:
    """name: the path as written here; what metrics and logs call it, so that a label never holds
    what a caller typed.

    summary: what it is for, in the OpenAPI document; body: the type its body is checked against,
    None where it takes none; kind: of that body; query: the parameters it reads; answer: what it
    answers when all is well, None where the document does not say.

    scope: what a caller needs; open: it asks for no key.  It is one or the other: a route that
    says neither cannot be made."""

    method: str
    name: str
    handle: Handle
    summary: str = ""
    body: type | None = None
    scope: str = ""
    open: bool = False
    query: tuple[str, ...] = ()
    answer: type | None = None
    kind: str = JSON

    def __post_init__(self) -> None:
        if bool(self.scope) == self.open:
            raise ValueError(f"{self.method} {self.name} must name a scope, or be open")


class Routes:
    """Literal paths first, then those with something behind `{id}` (`{id}:generateContent`), then
    those that end in it, where it takes the whole rest of the path: model names hold slashes and
    colons.  What stands behind `{id}` counts for its own method only; else it is part of the name."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._literal: dict[str, dict[str, Route]] = {}
        self._ending: dict[tuple[str, str], dict[str, Route]] = {}
        self._prefix: dict[str, dict[str, Route]] = {}
        for route in self.all:
            path, named, ending = route.name.partition(_REST)
            if not named:
                self._literal.setdefault(path, {})[route.method] = route
            elif ending:
                self._ending.setdefault((path, ending), {})[route.method] = route
            else:
                self._prefix.setdefault(path, {})[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route, and what `{id}` stands for.

        Raises: Refusal: not_found; method_not_allowed, whose `limit` lists the methods.
        """
        literal = self._literal.get(path)
        if literal is not None and method in literal:
            return literal[method], ""
        for ways, rest in self._ended(path):
            found = ways.get(method) or (ways.get("GET") if method == "HEAD" else None)
            if found is not None:
                return found, rest
        methods, rest = self._methods(path)
        if methods is None:
            raise self._unknown(method, path)
        route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if route is None:
            allowed = sorted({*methods, *(("HEAD",) if "GET" in methods else ())})
            endings = self._endings(method, path)
            also = f"  With {method}, it ends in {', '.join(endings)}." if endings else ""
            raise errors.METHOD_NOT_ALLOWED(
                f"{_shown(path)} does not answer {method}; it answers {', '.join(allowed)}.{also}",
                value=method,
                limit=allowed,
            )
        return route, rest

    def methods(self, path: str) -> list[str]:
        """Methods `path` answers, [] when there is no such path."""
        also = [method for ways, _ in self._ended(path) for method in ways]
        return sorted({*(self._methods(path)[0] or ()), *also})

    def _ended(self, path: str) -> Iterator[tuple[dict[str, Route], str]]:
        """Methods, and what `{id}` stands for, of the routes with something behind it."""
        for (prefix, ending), methods in self._ending.items():
            rest = _between(path, prefix, ending)
            if rest:
                yield methods, rest

    def _methods(self, path: str) -> tuple[dict[str, Route] | None, str]:
        literal = self._literal.get(path)
        if literal is not None:
            return literal, ""
        for prefix, methods in self._prefix.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return methods, path[len(prefix) :]
        return None, ""

    def _endings(self, method: str, path: str) -> list[str]:
        """What may stand behind `{id}` where `path` has something else."""
        return [
            ending
            for (prefix, ending), ways in self._ending.items()
            if path.startswith(prefix) and method in ways
        ]

    def _unknown(self, method: str, path: str) -> errors.Refusal:
        meant = self._meant(path)
        return errors.NOT_FOUND(
            f"There is nothing at {method} {_shown(path)}.",
            value=_shown(path),
            remedy=f"Did you mean {meant}?  {self._base_url(meant)}" if meant else "",
        )

    def _meant(self, path: str) -> str:
        """The known path behind a base URL with one /v1 too many or too few, or a stray slash."""
        bare = path.rstrip("/")
        while bare.startswith(f"{_API}/v1"):
            bare = bare.removeprefix(_API)
        for candidate in (bare, f"{_API}{bare}"):
            if candidate != path and (candidate in self._literal or any(self._ended(candidate))):
                return candidate
        return ""

    def _base_url(self, meant: str) -> str:
        if meant.startswith(f"{_API}/messages"):
            return "Anthropic's SDKs add /v1 to their base URL, which ends without it."
        if meant in self._literal:
            return "An SDK's base URL ends in /v1."
        return "Google's SDKs add the version to their base URL, which ends without one."


def _between(path: str, prefix: str, ending: str) -> str:
    """ "" where the path is none of these."""
    if not path.startswith(prefix):
        return ""
    rest = path[len(prefix) :]
    if not ending.endswith(_ITEM):
        return rest.removesuffix(ending) if rest.endswith(ending) else ""
    holder, _, item = rest.partition(ending.removesuffix(_ITEM))
    return f"{holder}/{item}" if holder and item else ""


def _shown(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:200]}..."

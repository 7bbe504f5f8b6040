"""The tools of a request by the names an engine sees.

A namespace is taken apart: an engine knows functions, not groups of them.  They keep their names;
only one that is taken already gets that of its namespace in front.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portico.dialects.openai_responses.request import Choice, Tool

CALLABLE = ("function", "custom")
NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class Offered:
    """name: as the engine sees it.  namespace: "" outside of any.  path: where it was defined."""

    name: str
    namespace: str
    tool: Tool
    path: str

    def is_meant(self, name: str | None, namespace: str | None) -> bool:
        """By a choice or a call of the caller's; without a namespace the name alone decides."""
        return self.tool.name == name and namespace in (None, "", self.namespace)


def offered(tools: Sequence[Tool] | None) -> list[Offered]:
    """Everything that can be called, in the order of the request."""
    given = list(_defined(tools or ()))
    taken = {tool.name for path, namespace, tool in given if not namespace}
    found: list[Offered] = []
    for path, namespace, tool in given:
        name = tool.name or ""
        if namespace and name in taken:
            name = _free(f"{namespace}__{name}", taken)
        taken.add(name)
        found.append(Offered(name, namespace, tool, path))
    return found


def hosted(tools: Sequence[Tool] | None) -> list[tuple[str, str]]:
    """(path, kind) of the tools that a server would have to run itself."""
    found = [(f"tools[{at}]", tool.type) for at, tool in enumerate(tools or ())]
    return [(path, kind) for path, kind in found if kind not in (*CALLABLE, NAMESPACE)]


def chosen(all_offered: Sequence[Offered], choice: Choice) -> Offered | None:
    """The one that `choice` means; None where it means none of them."""
    for one in all_offered:
        if one.tool.type == choice.type and one.is_meant(choice.name, choice.namespace):
            return one
    return None


def _defined(tools: Sequence[Tool]) -> Iterator[tuple[str, str, Tool]]:
    for at, tool in enumerate(tools):
        path, named = f"tools[{at}]", tool.name or ""
        if tool.type == NAMESPACE:
            inner = [(f"{path}.tools[{n}]", named, one) for n, one in enumerate(tool.tools or ())]
        else:
            inner = [(path, "", tool)]
        yield from (one for one in inner if one[2].type in CALLABLE)


def _free(name: str, taken: set[str | None]) -> str:
    found, count = name, 2
    while found in taken:
        found, count = f"{name}_{count}", count + 1
    return found

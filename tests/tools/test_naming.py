"""Names of remote tools, as a model knows them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from portico.canon.remote import RemoteTool, Server
from portico.tools.naming import NAME_MAX, named

NAMES = st.text(min_size=1, max_size=130)


def offers(names: list[str]) -> list[tuple[Server, tuple[RemoteTool, ...]]]:
    tools = tuple(RemoteTool(name, "", {}, {}) for name in names)
    return [(Server("tools[0]", "thing", "https://a"), tools)]


@given(st.lists(NAMES, unique=True, max_size=12), st.sets(NAMES, max_size=5))
def test_every_tool_has_a_name_of_its_own_that_engines_take(
    names: list[str], taken: set[str]
) -> None:
    found = named(offers(names), taken)
    assert [tool.name for _, tool in found.values()] == names
    assert not set(found) & taken
    for name in found:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert len(name) <= NAME_MAX


def test_a_name_of_the_callers_own_stays_his() -> None:
    assert list(named(offers(["add"]), {"thing__add"})) == ["thing__add_2"]

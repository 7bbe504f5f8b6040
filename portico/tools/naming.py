"""What a model knows remote tools by.  Pure."""

import re
from collections.abc import Collection, Iterable

from portico.canon.remote import RemoteTool, Server

NAME_MAX = 64
"""Of a function: the shortest limit among engines."""
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")
_DIGITS = 4


def named(
    offers: Iterable[tuple[Server, tuple[RemoteTool, ...]]], taken: Collection[str]
) -> dict[str, tuple[Server, RemoteTool]]:
    """Every tool by a name of its own.  taken: names of the caller's own functions."""
    found: dict[str, tuple[Server, RemoteTool]] = {}
    for server, tools in offers:
        for tool in tools:
            wish = _STRANGE.sub("_", f"{server.label}__{tool.name}")[: NAME_MAX - _DIGITS]
            name, count = wish, 2
            while name in taken or name in found:
                name, count = f"{wish}_{count}", count + 1
            found[name] = (server, tool)
    return found

"""What answers look like, worked out from the nouns themselves.  Pure.

One place says which members an object has: what is answered and what the OpenAPI document promises
come from it, so neither can go its own way.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Struct

from portico.admin.operation import Told
from portico.admin.shapes import Moment, rfc3339

_MOMENTS: Final = ("_at_ms", "_from_ms")
_DOCUMENT_MODULE: Final = __name__


class Shape:
    """Objects of one kind.  `..._at_ms` and `..._from_ms` of a noun become times, RFC 3339.

    type: of the object.  page: of a list of them.  gone: of what is left of one that was deleted.
    """

    def __init__(
        self, kind: str, noun: type, hidden: Iterable[str] = (), more: dict[str, Any] | None = None
    ) -> None:
        """hidden: members of the noun that are nobody's business.  more: types of members that it has
        not got, and that `told` is given."""
        hints = get_type_hints(noun, include_extras=True)
        self.kind = kind
        self._more = dict(more or {})
        self._shown = [name for name in hints if name not in {*hidden, *self._more}]
        members = {_name(each): _type(each, hints[each]) for each in self._shown}
        self._members: dict[str, Any] = {
            "object": Literal[kind],
            "id": str,
            **members,
            **self._more,
        }
        self._title = "".join(word.capitalize() for word in kind.split("_"))
        self.type = struct(self._title, self._members)
        self.page = page_of(self._title, self.type)
        self.gone = struct(
            f"Deleted{self._title}",
            {"object": Literal[kind], "id": str, "deleted": Literal[True]},
        )

    def with_secret(self, name: str) -> type[Struct]:
        """Of an object that was just made, with what is shown once."""
        return struct(f"Issued{self._title}", {**self._members, name: str})

    def with_more(self, prefix: str, **members: Any) -> type[Struct]:
        return struct(f"{prefix}{self._title}", {**self._members, **members})

    def told(self, found: Any, **more: Any) -> Told:
        """more: the members that the noun has not got."""
        facts = {name: getattr(found, name) for name in self._shown}
        shown = {
            _name(name): rfc3339(value) if name.endswith(_MOMENTS) else value
            for name, value in facts.items()
        }
        return {"object": self.kind, "id": shown.get("id"), **shown, **more}


def struct(title: str, members: dict[str, Any]) -> type[Struct]:
    return msgspec.defstruct(title, list(members.items()), module=_DOCUMENT_MODULE, kw_only=True)


def page_of(title: str, type: type[Struct]) -> type[Struct]:
    """Of a list in pages."""
    return struct(
        f"{title}Page",
        {
            "object": Literal["list"],
            "data": list[type],  # type: ignore[valid-type]  # made at run time
            "first_id": str | None,
            "last_id": str | None,
            "has_more": bool,
        },
    )


def whole_list_of(shape: Shape) -> type[Struct]:
    """Of a list that never has more."""
    data = list[shape.type]  # type: ignore[name-defined]  # made at run time
    members = {"object": Literal["list"], "data": data, "has_more": Literal[False]}
    return struct(f"All{shape.type.__name__}", members)


def _name(name: str) -> str:
    return name.removesuffix("_ms") if name.endswith(_MOMENTS) else name


def _type(name: str, hint: Any) -> Any:
    if not name.endswith(_MOMENTS):
        return hint
    return Moment if hint is int else Moment | None

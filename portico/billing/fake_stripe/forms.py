"""How Stripe's SDKs write requests, and which objects they want put in place of ids.  Pure."""

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

_STEP = re.compile(r"\[([^\]]*)\]")
Find = Callable[[str], "dict[str, Any] | None"]


def read(text: str) -> dict[str, Any]:
    """`a[b]=1&c[0]=2&d[]=3` as {"a": {"b": "1"}, "c": ["2"], "d": ["3"]}.  Values stay texts."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head = name.partition("[")[0]
        place, key = found, head
        for step in _STEP.findall(name):
            place = place.setdefault(key, {})
            key = step or str(len(place))
        place[key] = value
    return {name: _lists(value) for name, value in found.items()}


def _lists(value: Any) -> Any:
    """Mappings whose names count from 0 are lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(each) for name, each in value.items()}
    if inner and list(inner) == [str(number) for number in range(len(inner))]:
        return list(inner.values())
    return inner


def truth(value: Any) -> bool:
    return str(value).lower() == "true"


def expanded(answer: Mapping[str, Any], paths: list[str], find: Find) -> dict[str, Any]:
    """A copy with objects in place of the ids at `paths`, such as latest_charge or data.source."""
    copied = copy.deepcopy(dict(answer))
    for path in paths:
        _expand(copied, path.split("."), find)
    return copied


def _expand(place: Any, path: list[str], find: Find) -> None:
    if isinstance(place, list):
        for each in place:
            _expand(each, path, find)
        return
    if not isinstance(place, dict) or path[0] not in place:
        return
    first, rest = path[0], path[1:]
    if isinstance(place[first], str):
        place[first] = copy.deepcopy(find(place[first])) or place[first]
    if rest:
        _expand(place[first], rest, find)

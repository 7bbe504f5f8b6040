"""Everything that is wrong with a body, not only the first thing.

What a parser refuses is noted and taken out, and the rest is parsed again, until it passes.  Pure.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portico.canon.prompt import Prompt
from portico.dialects.body import json_object, without_bom
from portico.errors import Refusal
from portico.kit.failures import let_go

FOUND_MAX = 50
_READ_BYTES_MAX = 64 << 20
"""Read over and over in all: a large body must not be a lever against the server."""

Parse = Callable[[bytes, dict[str, str]], Prompt]
Step = str | int


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    found: in the order they were met; fields are named as in the body that was sent.
    whole: False when there may be more: something could not be taken out, or there was too much.
    prompt: of what is left when all that was found is taken out; None where nothing could be read.
    """

    found: tuple[Refusal, ...]
    whole: bool
    prompt: Prompt | None


class _Kept(list[Any]):
    """An array that remembers where its items stood before some were taken out."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.stood = list(range(len(items)))
        self.lost = False

    def take_out(self, at: int) -> None:
        del self[at], self.stood[at]
        self.lost = True


def violations(parse: Parse, body: bytes, specimen: Mapping[str, Any]) -> Verdict:
    """specimen: a valid document of the dialect; what it has stands in for a top-level member that
    is required and missing or wrong."""
    try:
        return Verdict((), whole=True, prompt=parse(body, {}))
    except Refusal as refusal:
        let_go(refusal)
        first = refusal
    try:
        document = _keeping(json_object(without_bom(body)))
    except Refusal:
        return Verdict((first,), whole=False, prompt=None)
    return _Search(parse, document, specimen).run(len(body))


class _Search:
    def __init__(self, parse: Parse, document: dict[str, Any], specimen: Mapping[str, Any]) -> None:
        self._parse = parse
        self._document = document
        self._specimen = specimen
        self._found: dict[str, Refusal] = {}
        self._taken: list[list[Step]] = []

    def run(self, body_bytes: int) -> Verdict:
        rounds = max(4, min(4 * FOUND_MAX, _READ_BYTES_MAX // max(1, body_bytes)))
        for _ in range(rounds):
            try:
                prompt = self._parse(json.dumps(self._document).encode(), {})
            except Refusal as refusal:
                let_go(refusal)
                if len(self._found) >= FOUND_MAX or not self._take_out(refusal):
                    break
            else:
                return Verdict(tuple(self._found.values()), whole=True, prompt=prompt)
        return Verdict(tuple(self._found.values()), whole=False, prompt=None)

    def _take_out(self, refusal: Refusal) -> bool:
        """Note the refusal, and see to it that it does not come again.  False: nothing to take."""
        if refusal.field is None:
            return False
        steps = _steps(refusal.field)
        place = _as_sent(self._document, steps)
        if not self._is_our_doing(steps, place):
            name = _path(place)
            refusal.message = refusal.message.replace(f"'{refusal.field}'", f"'{name}'")
            refusal.field = name
            self._found.setdefault(name, refusal)
        return self._remove(steps)

    def _is_our_doing(self, steps: list[Step], place: list[Step]) -> bool:
        """What was taken out may be missed now, and an array may be too short without it."""
        there = _at(self._document, steps)
        return place in self._taken or (isinstance(there, _Kept) and there.lost)

    def _remove(self, steps: list[Step]) -> bool:
        """The smallest thing around `steps` that is there."""
        while len(steps) > 1:
            holder, last = _at(self._document, steps[:-1]), steps[-1]
            self._taken.append(_as_sent(self._document, steps))
            if isinstance(holder, dict) and last in holder:
                del holder[last]
                return True
            if isinstance(holder, _Kept) and isinstance(last, int) and last < len(holder):
                holder.take_out(last)
                return True
            self._taken.pop()
            steps = steps[:-1]
        name = str(steps[0])
        stand_in = self._specimen.get(name)
        if stand_in is not None and self._document.get(name) != stand_in:
            self._document[name] = _keeping(stand_in)
            return True
        return self._document.pop(name, None) is not None


def _keeping(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _keeping(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return _Kept([_keeping(inner) for inner in value])
    return value


def _steps(path: str) -> list[Step]:
    """`messages[2].content` as ["messages", 2, "content"]."""
    return [
        int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)
    ]


def _path(steps: list[Step]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _at(document: Any, steps: list[Step]) -> Any:
    """None where there is nothing."""
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def _as_sent(document: Any, steps: list[Step]) -> list[Step]:
    """The same place in the body as it came, before items of arrays were taken out."""
    sent: list[Step] = []
    for at, step in enumerate(steps):
        holder = _at(document, steps[:at])
        known = isinstance(holder, _Kept) and isinstance(step, int) and step < len(holder.stood)
        sent.append(holder.stood[step] if known else step)
    return sent

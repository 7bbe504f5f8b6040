"""What a translation cannot carry over, and what becomes of it.

Every request that crosses from one dialect to another has one `Losses`.  A soft loss (a hint, a
sampling detail) is dropped and said; a hard one (what the caller builds on) is refused.  The
caller's key decides how strictly: docs/guides/compatibility.md has the table.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from portico import errors
from portico.canon.conversation import Conversation
from portico.canon.prompt import Compatibility, Prompt

Action = Literal["dropped", "mapped", "clamped"]
HEADER_BYTES_MAX = 1_024
"""Of `portico-warnings`: proxies refuse answers whose heads are too large."""
_FIELD_MAX = 64
_STRANGE = re.compile(r"[^A-Za-z0-9_.\[\]:-]")


class Losses:
    """Of one translation."""

    def __init__(self, compatibility: Compatibility) -> None:
        self.compatibility = compatibility
        # In order, each once, and found without a walk: a request may have tens of thousands.
        self._said: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What was changed, in the words of `portico-warnings`."""
        return list(self._said)

    def drop(self, field: str, why: str, value: Any = None) -> None:
        """A soft loss.  Raises: Refusal: unsupported_feature, where the key is strict."""
        if self.compatibility == "strict":
            raise self.refusal(field, why, value)
        self._say("not_supported", field, "dropped")

    def map(self, field: str, why: str, value: Any = None) -> None:
        """Something close is sent in its place.  Raises: Refusal, where the key is strict."""
        if self.compatibility == "strict":
            raise self.refusal(field, why, value)
        self._say("mapped", field, "mapped")

    def emulate(self, field: str, why: str, value: Any = None) -> None:
        """A hard loss that a documented rewrite makes good, where the key says `adapt`.

        Raises: Refusal, where it does not.
        """
        if self.compatibility != "adapt":
            raise self.refusal(field, f"{why}; a key set to 'adapt' rewrites it", value)
        self._say("emulated", field, "mapped")

    def refusal(self, field: str, why: str, value: Any = None) -> errors.Refusal:
        """A hard loss, to be raised."""
        return errors.UNSUPPORTED_FEATURE(
            f"{field!r} cannot be passed on to this model's engine: {why}.",
            field=field,
            value=value,
        )

    def declare(self, prompt: Prompt, conversation: Conversation) -> None:
        """What the prompt's own dialect lost on its way into the canon is lost here, too; all that
        was lost by now is added to the warnings of `prompt`.  Raises: Refusal, as above."""
        for name in conversation.dropped:
            self.drop(name, "it has no counterpart here")
        for name in conversation.mapped:
            self.map(name, "only something close can be said here")
        self.tell(prompt)

    def tell(self, prompt: Prompt) -> None:
        """Add what was lost to the warnings of `prompt`."""
        known = set(prompt.warnings)
        prompt.warnings += [each for each in self._said if each not in known]

    def _say(self, code: str, field: str, action: Action) -> None:
        self._said[f'{code}; field="{_named(field)}"; action={action}'] = None


def unknown(document: dict[str, Any], shape: type[msgspec.Struct]) -> Iterator[str]:
    """Top-level members of `document` that say something and that `shape` does not name."""
    known = shape.__struct_encode_fields__
    yield from (name for name, said in document.items() if name not in known and said is not None)


def header(warnings: Sequence[str]) -> str:
    """The value of `portico-warnings`: all of them, or as many as fit and how many more there are."""
    whole = ", ".join(warnings)
    if len(whole) <= HEADER_BYTES_MAX:
        return whole
    room = HEADER_BYTES_MAX - len(f"more={len(warnings)}")
    told: list[str] = []
    for warning in warnings:
        room -= len(warning) + len(", ")
        if room < 0:
            break
        told.append(warning)
    return ", ".join([*told, f"more={len(warnings) - len(told)}"])


def _named(field: str) -> str:
    """A caller may call its fields anything; what is told of that fits into a header."""
    return _STRANGE.sub("?", field[:_FIELD_MAX])

"""What a translation cannot carry over, and what becomes of it.

Every request that crosses from one dialect to another has one `Losses`.  A soft loss (a hint, a
sampling detail) is dropped and said; a hard one (what the caller builds on) is refused.  The
caller's key decides how strictly: docs/guides/compatibility.md has the table.
"""

from typing import Any, Literal

from portico import errors
from portico.canon.conversation import Conversation
from portico.canon.prompt import Compatibility, Prompt

Action = Literal["dropped", "mapped", "clamped"]


class Losses:
    """Of one translation.  `warnings`: what was changed, in the words of `portico-warnings`."""

    def __init__(self, compatibility: Compatibility) -> None:
        self.compatibility = compatibility
        self.warnings: list[str] = []

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
        prompt.warnings += [each for each in self.warnings if each not in prompt.warnings]

    def _say(self, code: str, field: str, action: Action) -> None:
        warning = f'{code}; field="{field}"; action={action}'
        if warning not in self.warnings:
            self.warnings.append(warning)

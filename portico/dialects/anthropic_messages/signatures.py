"""What stands in `signature`: a thought's seal, in a form that says whose it is.

A provider's own signature passes as it is.  Every other thought is signed here: with what its
engine sealed, if it did; with the thought itself where the caller is not to see it; else with a
digest of it.  So whatever comes back can be told apart, and goes to its issuer only; and what was
signed for one project is nothing in the hands of another.
"""

from collections.abc import Sequence
from hashlib import sha256

from portico import errors
from portico.canon.conversation import Thought
from portico.dialects.anthropic_messages import request as wire
from portico.dialects.anthropic_messages.reader import ISSUER
from portico.dialects.diagnosis import brief
from portico.kit.sealing import MARK, Seal

OWN = "portico"
_PURPOSE = "thinking signature"
_TEXT, _DIGEST, _FOREIGN = "t", "d", "f"
_APART = "\n"


class Signatures:
    def __init__(self, seal: Seal, project_id: str = "") -> None:
        self._seal = seal
        self._project_id = project_id

    def of(self, project_id: str) -> "Signatures":
        return Signatures(self._seal, project_id)

    def sign(self, thought: Thought, *, shown: bool) -> str:
        """shown: the caller gets the text, too."""
        if thought.issuer == ISSUER:
            return thought.sealed
        if thought.sealed:
            content = f"{_FOREIGN}{thought.issuer}{_APART}{thought.sealed}"
        elif shown:
            content = _DIGEST + _digest(thought.text)
        else:
            content = _TEXT + thought.text
        return self._seal.close(content, _PURPOSE, self._project_id)

    def read(self, text: str, signature: str) -> Thought:
        """A thought that came back, with what its issuer is to get."""
        content = self._open(signature)
        if content is None:
            return Thought(text, signature, ISSUER if signature else "")
        kind, rest = content[0], content[1:]
        if kind == _FOREIGN:
            issuer, _, sealed = rest.partition(_APART)
            return Thought(text, sealed, issuer)
        if kind == _TEXT:
            return Thought(rest, issuer=OWN)
        # Changed on the way, it is the caller's text and no longer our engine's.
        return Thought(text, issuer=OWN if rest == _digest(text) else "")

    def check(self, messages: Sequence[wire.Message]) -> None:
        """Raises: Refusal: sealed_item_invalid."""
        for at, message in enumerate(messages):
            if not isinstance(message, wire.AssistantMessage) or isinstance(message.content, str):
                continue
            for place, block in enumerate(message.content):
                signature = block.signature if isinstance(block, wire.ThinkingBlock) else ""
                if signature.startswith(MARK) and self._open(signature) is None:
                    raise _invalid(f"messages[{at}].content[{place}].signature", signature)

    def _open(self, signature: str) -> str | None:
        return self._seal.open(signature, _PURPOSE, self._project_id)


def _invalid(path: str, signature: str) -> errors.Refusal:
    return errors.SEALED_ITEM_INVALID(
        f"{path!r} was not signed by this server for this project, or was changed since.",
        field=path,
        value=brief(signature),
        limit="the signature as it was given, unchanged",
        remedy="Send the turn again without this block: what was said and called stays valid.",
    )


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

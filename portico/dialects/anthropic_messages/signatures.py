"""What stands in `signature`: a thought's seal, in a form that says whose it is.

A provider's own signature passes as it is.  Every other thought is signed here: with what its
engine sealed, if it did; with the thought itself where the caller is not to see it; else with a
digest of it.  So whatever comes back can be told apart, and goes to its issuer only.
"""

from hashlib import sha256

from portico.canon.conversation import Thought
from portico.dialects.anthropic_messages.reader import ISSUER
from portico.kit.sealing import Seal

OWN = "portico"
_PURPOSE = "thinking signature"
_TEXT, _DIGEST, _FOREIGN = "t", "d", "f"
_APART = "\n"


class Signatures:
    def __init__(self, seal: Seal) -> None:
        self._seal = seal

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
        return self._seal.close(content, _PURPOSE)

    def read(self, text: str, signature: str) -> Thought:
        """A thought that came back, with what its issuer is to get."""
        content = self._seal.open(signature, _PURPOSE)
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


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

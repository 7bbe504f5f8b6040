"""Whose a connection is once it speaks another protocol."""

from typing import Protocol


class Successor(Protocol):
    """What a connection tells whoever took it over."""

    def receive(self, data: bytes) -> None: ...

    def tick(self, now_s: float) -> None:
        """End what has run out of time."""
        ...

    def lost(self, reason: str) -> None:
        """Nobody reads any more."""
        ...

    def cut(self, reason: str) -> None:
        """Interrupt the answer under way; it still gets to say so."""
        ...

    def shutdown(self) -> None:
        """Say goodbye."""
        ...

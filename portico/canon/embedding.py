"""Texts to be turned into vectors, and the vectors."""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

Input = str | tuple[int, ...]
"""One text, or one text as token ids of the model."""


@dataclass(frozen=True, slots=True)
class ToEmbed:
    """inputs: each becomes one vector, in this order.
    dimensions: how many numbers a vector is to have, None for the model's own."""

    inputs: tuple[Input, ...]
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """index: which input it is of.  vector: float32, little-endian, one after the other."""

    index: int
    vector: bytes

    def numbers(self) -> list[float]:
        """Raises: ValueError: not a whole number of float32."""
        numbers = array("f")
        numbers.frombytes(self.vector)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tolist()


def packed(said: Sequence[float]) -> bytes:
    """As float32, little-endian.  Raises: OverflowError, TypeError."""
    numbers = array("f", said)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()

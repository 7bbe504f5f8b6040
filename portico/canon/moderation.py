"""What is said of a text, or an image, that was looked at: in the words every dialect uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Category = Literal[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
]
CATEGORIES: tuple[Category, ...] = get_args(Category)

DataKind = Literal["secrets", "personal_data"]
"""What a text may give away.  It does nobody harm by being said, so it is told apart."""
DATA_KINDS: tuple[DataKind, ...] = get_args(DataKind)

Input = Literal["text", "image"]
INPUTS: tuple[Input, ...] = get_args(Input)


@dataclass(frozen=True, slots=True)
class Item:
    """What gets one judgement.  path: where it stands in the request.
    images: URLs, as they were sent."""

    path: str
    text: str | None
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """One category.  score: 0 to 1, as whoever scored it means it.  inputs: what was looked at."""

    flagged: bool
    score: float
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that matched: never what it matched."""

    rule: str
    version: int
    category: Category | DataKind
    score: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """flagged: None where nothing was looked at.
    scored: a category that is not in it was not scored, which says nothing about the text.
    data: what it gives away; a kind that is not in it was not looked for.
    guard: the guard model's own words for what it found."""

    flagged: bool | None
    scored: Mapping[Category, Scored]
    findings: tuple[Finding, ...] = ()
    data: Mapping[DataKind, bool] = field(default_factory=dict)
    guard: tuple[str, ...] = ()

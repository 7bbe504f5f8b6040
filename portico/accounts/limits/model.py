"""Limits as they are set."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["key", "project", "organisation", "installation"]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a scope may take in any 60 s; None: no limit of this kind here.

    scope_id: "" for the installation.  model: "" for all models together.
    """

    scope: Scope
    scope_id: str
    model: str = ""
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    requests_at_once: int | None = None

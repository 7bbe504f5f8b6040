"""What developers keep with us, and for how long."""

from typing import Annotated

from msgspec import Meta, Struct


class Responses(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers of /v1/responses that are kept for their callers."""

    store: Annotated[
        bool,
        Meta(
            description="Keep the answers of requests that do not say `store`, as OpenAI does.  A "
            "project with zero retention keeps none."
        ),
    ] = True
    keep_days: Annotated[
        int, Meta(ge=1, le=3_650, description="From their end; a project may keep them shorter.")
    ] = 30
    links_max: Annotated[
        int, Meta(ge=1, le=10_000, description="Responses that one may follow, through each other.")
    ] = 1_000
    context_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Of all that one response follows.")
    ] = 33_554_432
    response_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Of one, its own input included; a larger one is not kept.")
    ] = 16_777_216


class Background(Struct, frozen=True, forbid_unknown_fields=True):
    """Responses that are made while nobody waits."""

    at_once: Annotated[int, Meta(ge=1, le=10_000, description="Made at once by one server.")] = 32
    per_project_max: Annotated[
        int, Meta(ge=1, description="Of one project, in line or under way.")
    ] = 10_000
    patience_s: Annotated[
        float, Meta(gt=0, description="What could not be begun by then fails.")
    ] = 86_400.0

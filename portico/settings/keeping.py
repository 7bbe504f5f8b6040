"""What developers keep with us, and for how long."""

from typing import Annotated

from msgspec import Meta, Struct


class Kept(Struct, frozen=True, forbid_unknown_fields=True):
    """What a project keeps in the database: responses, conversations, batches, and what waits."""

    bytes_per_project_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Of all of it, 512 more for each row; 0: none.  Files and answers under an "
            "`Idempotency-Key` have limits of their own.",
        ),
    ] = 10_737_418_240


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


class Batches(Struct, frozen=True, forbid_unknown_fields=True):
    """Many requests that are sent at once and answered with what nobody else needs."""

    at_once: Annotated[
        int, Meta(ge=1, le=10_000, description="Lines made at once by one server, of all models.")
    ] = 16
    share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Of a model's places, that lines may fill; the rest is free for whoever comes.",
        ),
    ] = 0.8
    lines_max: Annotated[int, Meta(ge=1, description="Of one batch.")] = 50_000
    line_bytes_max: Annotated[int, Meta(ge=1_024, description="Of one line.")] = 8_388_608
    file_bytes_max: Annotated[int, Meta(ge=1_024, description="Of all lines of a batch.")] = (
        209_715_200
    )
    open_max: Annotated[
        int, Meta(ge=1, description="Batches of one project that have not ended.")
    ] = 100
    window_s: Annotated[
        float, Meta(gt=0, description="Lines that have not begun by then expire.")
    ] = 86_400.0
    hurry_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Lines of a batch that has no more time than this left wait for a place as "
            "requests do, a few at a time, and keep it; 0: they expire, where none is to spare.",
        ),
    ] = 21_600.0
    keep_days: Annotated[
        int, Meta(ge=1, le=3_650, description="How long what has ended is kept.")
    ] = 30


class Conversations(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said in the conversations of developers."""

    keep_days: Annotated[
        int,
        Meta(
            ge=0,
            le=3_650,
            description="From the making of each; 0: until it is deleted.  A project may keep them "
            "shorter.",
        ),
    ] = 0
    items_max: Annotated[int, Meta(ge=1, le=100_000, description="In one.")] = 10_000


class Websocket(Struct, frozen=True, forbid_unknown_fields=True):
    """Responses over a WebSocket, on the path and the port of /v1/responses."""

    connections_max: Annotated[int, Meta(ge=0, description="Open at once, of all keys.")] = 1_000
    per_key_max: Annotated[int, Meta(ge=0, description="Of one key.")] = 100
    waiting_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description="Requests of one connection in line behind the one that is answered.",
        ),
    ] = 16
    connection_s: Annotated[float, Meta(gt=0, description="How long one may last.")] = 3_600.0
    idle_s: Annotated[
        float, Meta(gt=0, description="How long one may last with nothing asked on it.")
    ] = 600.0
    ping_s: Annotated[
        float,
        Meta(gt=0, description="Without a byte from the client it is asked whether it is there."),
    ] = 20.0
    pong_s: Annotated[float, Meta(gt=0, description="How soon it must say that it is.")] = 20.0
    memory_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Of one connection, for answers with `store: false` that can be followed on "
            "it; the oldest makes room.",
        ),
    ] = 8_388_608
    memory_bytes_in_all: Annotated[int, Meta(ge=0, description="Of all connections.")] = 268_435_456

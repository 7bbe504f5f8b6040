"""Batches: their routes, and the lane their lines run in."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from portico.app.backstage.stage import Surroundings
from portico.background.batches import Lane, Way
from portico.background.finishing import Finishing
from portico.background.validating import Validating
from portico.callers.scopes import BATCHES
from portico.door.dialect import Dialect
from portico.door.resources.batches import BatchEndpoints, BatchRequest
from portico.door.routes import Route
from portico.errors import Refusal
from portico.resources.batches.keeper import Lines
from portico.resources.batches.model import ENDPOINTS, MESSAGES, Limits
from portico.resources.batches.service import Batches
from portico.resources.pages import OPENAI
from portico.routing.service import Routing
from portico.settings import Settings

_DAY_MS = 86_400_000
Follow = Callable[[], Coroutine[Any, Any, None]]


def batches(of: Surroundings) -> tuple[list[Route], tuple[Follow, ...]]:
    said, books = of.settings.batches, of.books
    limits, lines = limits_of(of.settings), Lines(of.states)
    lane = Lane(
        _ways(of, lines),
        lines,
        books.admission,
        partial(places_of, of.rooms.routing),
        *(books.writer, of.readers, of.clock),
        Validating(of.files, books.writer, of.clock, limits),
        Finishing(of.files, books.writer, of.readers, of.clock, limits),
        owner=books.owner,
        at_once=said.at_once,
        share=said.share,
    )
    kept = Batches(of.files, books.writer, of.readers, of.clock, limits, lane.news.set)
    return _routes(of, kept), (lane.run,)


def limits_of(settings: Settings) -> Limits:
    said = settings.batches
    return Limits(
        said.lines_max,
        said.line_bytes_max,
        said.file_bytes_max,
        said.open_max,
        round(1000 * said.window_s),
        said.keep_days * _DAY_MS,
    )


def places_of(routing: Routing, model: str) -> int:
    """Requests for it that may run at once; 0 where nobody serves it now."""
    there = routing.models().get(model, ())
    return sum(each.engine.abilities.concurrency_max for each in there)


def _ways(of: Surroundings, lines: Lines) -> Mapping[str, Way]:
    spoken = of.words.generating
    return {
        endpoint: Way(of.way(spoken[endpoint], lines).handle, partial(_told, spoken[endpoint]))
        for endpoint in (*ENDPOINTS, MESSAGES)
        if endpoint in spoken
    }


def _told(dialect: Dialect, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    return dialect.status(refusal), dialect.envelope(refusal, request_id)


def _routes(of: Surroundings, kept: Batches) -> list[Route]:
    batches = BatchEndpoints(of.reception, kept, round(1000 * of.settings.replay.keep_s))
    one = "/v1/batches/{id}"
    return [
        Route(
            "POST",
            "/v1/batches",
            batches.create,
            "Have the lines of a file answered within a day.",
            BatchRequest,
            BATCHES,
        ),
        Route(
            "GET",
            "/v1/batches",
            batches.all,
            "Your project's batches.",
            scope=BATCHES,
            query=OPENAI,
        ),
        Route("GET", one, batches.one, "How far a batch is.", scope=BATCHES),
        Route(
            "POST", f"{one}/cancel", batches.cancel, "Begin no more of its lines.", scope=BATCHES
        ),
    ]

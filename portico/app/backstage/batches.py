"""Batches: their routes, and the lane their lines run in."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from portico.app.backstage.judged import Judged
from portico.app.backstage.stage import Surroundings
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.app.spoken.remote import none_later
from portico.background.batches import Lane
from portico.background.finishing import Finishing
from portico.background.lines import Making, Way
from portico.background.validating import Validating
from portico.callers.deputies import Patient
from portico.callers.scopes import BATCHES
from portico.door.dialect import Dialect
from portico.door.resources.batches import BatchEndpoints, BatchRequest
from portico.door.resources.message_batches import MessageBatchEndpoints
from portico.door.routes import Route
from portico.errors import Refusal
from portico.resources.batches.keeper import Lines
from portico.resources.batches.messages import MessageBatchRequest
from portico.resources.batches.model import ENDPOINTS, MESSAGES, MODERATIONS, Limits
from portico.resources.batches.service import Batches
from portico.resources.pages import ANTHROPIC, OPENAI
from portico.routing.service import Routing
from portico.settings import Settings

_DAY_MS = 86_400_000
Follow = Callable[[], Coroutine[Any, Any, None]]


def batches(of: Surroundings) -> tuple[list[Route], tuple[Follow, ...]]:
    said, books = of.settings.batches, of.books
    limits, lines = limits_of(of.settings), Lines(of.states, books.room)
    coming: set[str] = set()
    lane = Lane(
        Making(_ways(of, lines), lines, books.writer, of.clock),
        books.admission,
        partial(places_of, of.rooms.routing),
        *(books.writer, of.readers, of.clock),
        Validating(of.files, books.writer, of.clock, limits, books.room),
        Finishing(of.files, books.writer, of.readers, of.clock, limits),
        revoked=of.identity.deputies.revoked,
        owner=books.owner,
        coming=coming,
        at_once=said.at_once,
        share=said.share,
        hurry_ms=round(1000 * said.hurry_s),
    )
    kept = Batches(
        *(of.files, books.writer, of.readers, books.reports, of.clock, limits, books.room),
        lane.hear,
        owner=books.owner,
        coming=coming,
    )
    return [*_of_files(of, kept), *_of_messages(of, kept)], (lane.run,)


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
    callers = Patient(of.identity.deputies)
    rounds = none_later(of.settings, of.identity)
    judged = Judged(callers, of.moderation)
    ways = {
        endpoint: Way(
            of.way(spoken[endpoint], lines, callers, rounds=rounds.get(endpoint)).handle,
            partial(_told, spoken[endpoint]),
        )
        for endpoint in (*ENDPOINTS, MESSAGES)
        if endpoint in spoken
    }
    ways[MODERATIONS] = Way(judged.handle, partial(_told, OPENAI_CHAT), of_models=False)
    return ways


def _told(dialect: Dialect, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    return dialect.status(refusal), dialect.envelope(refusal, request_id)


def _of_files(of: Surroundings, kept: Batches) -> list[Route]:
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


def _of_messages(of: Surroundings, kept: Batches) -> list[Route]:
    settings, path = of.settings, f"{MESSAGES}/batches"
    batches = MessageBatchEndpoints(
        of.reception,
        kept,
        of.words.others["anthropic"],
        replay_ms=round(1000 * settings.replay.keep_s),
        body_bytes_max=settings.edge.body_bytes_max,
        https=settings.server.https,
    )
    one = f"{path}/{{id}}"
    return [
        Route(
            "POST",
            path,
            batches.create,
            "Have many messages answered within a day, in Anthropic's words.",
            MessageBatchRequest,
            BATCHES,
        ),
        Route(
            "GET",
            path,
            batches.all,
            "Your project's batches of messages.",
            scope=BATCHES,
            query=ANTHROPIC,
        ),
        Route("GET", one, batches.one, "How far a batch of messages is.", scope=BATCHES),
        Route("DELETE", one, batches.delete, "Delete one that has ended.", scope=BATCHES),
        Route(
            "POST", f"{one}/cancel", batches.cancel, "Begin no more of its requests.", scope=BATCHES
        ),
        Route(
            "GET", f"{one}/results", batches.results, "What came of its requests.", scope=BATCHES
        ),
    ]

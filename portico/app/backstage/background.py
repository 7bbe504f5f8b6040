"""Responses in the background."""

from portico.app.backstage.stage import Backstage, Surroundings
from portico.app.spoken.responses import keeping
from portico.background.responses import Runner
from portico.callers.model import Caller
from portico.callers.scopes import RESPONSES
from portico.canon.prompt import Prompt
from portico.door.limits import EdgeLimits
from portico.door.resources.background import Background
from portico.door.routes import Route
from portico.resources.background.lives import Lives
from portico.resources.background.model import Limits
from portico.resources.background.resumed import Resumed


def background(of: Surroundings) -> Backstage:
    said, kept, lives = of.settings.background, keeping(of.settings), Lives()
    limits = Limits(said.at_once, said.per_project_max, round(1000 * said.patience_s))
    books = of.books

    def keep_ms(caller: Caller) -> int:
        most = caller.content_ms_max
        return kept.keep_ms if most is None else min(kept.keep_ms, most)

    def check(caller: Caller, prompt: Prompt) -> object:
        return of.rooms.routing.choose(prompt, caller.data_use, caller.models)

    door = Background(
        *(of.reception, of.readers, books.writer, lives, of.clock, limits, books.room),
        check=check,
        keep_ms=keep_ms,
        replay_ms=round(1000 * of.settings.replay.keep_s),
        ping_s=EdgeLimits().ping_s,
    )
    generation = of.way(
        of.words.generating["/v1/responses"],
        Resumed(of.states, lives),
    )
    runner = Runner(
        *(generation.handle, lives, books.writer, of.readers, of.clock, limits),
        owner=books.owner,
        keep_ms=kept.keep_ms,
        closed=lambda: books.admission.draining,
        room=books.room,
    )
    cancelling = Route(
        "POST",
        "/v1/responses/{id}/cancel",
        door.cancel,
        "End a response that is made in the background.",
        scope=RESPONSES,
    )
    return Backstage(door, (cancelling,), (runner.run, runner.save, runner.watch))

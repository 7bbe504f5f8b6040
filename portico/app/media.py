"""Who looks after the files of requests."""

from collections.abc import Sequence
from ipaddress import ip_network

from portico.app.failure import CannotStart
from portico.callers.model import Caller
from portico.door.intake.files import Files
from portico.door.intake.kept import KeptFiles
from portico.door.intake.media import Media
from portico.kit.fetch import Fetcher, Limits
from portico.media.model import Limits as Bounds
from portico.media.service import Decoders
from portico.resources.files.service import Files as Kept
from portico.routing.model import Deployment
from portico.routing.service import Routing
from portico.settings import Settings


def media_of(settings: Settings, routing: Routing, kept: Kept) -> Media:
    """Raises: CannotStart: a network that is none."""

    def serving(caller: Caller, model: str) -> Sequence[Deployment]:
        if caller.models is not None and model not in caller.models:
            return ()
        return routing.open_to(caller.data_use).get(model, ())

    bytes_max = settings.edge.body_bytes_max
    files = Files(
        Decoders(bounds(settings)),
        serving,
        bytes_max=bytes_max,
        page_images_for=settings.media.pdf_images_for,
    )
    return Media(_fetcher(settings), files, KeptFiles(kept), bytes_max=bytes_max)


def bounds(settings: Settings) -> Bounds:
    wanted = settings.media
    return Bounds(
        pixels_max=wanted.pixels_max,
        pixels_sent_max=wanted.pixels_sent_max,
        pages_max=wanted.pdf_pages_max,
        characters_max=wanted.pdf_characters_max,
        images_max=wanted.pdf_images_max,
        sound_s_max=wanted.sound_s_max,
        workers=wanted.workers,
        timeout_s=wanted.decode_timeout_s,
        wait_s=wanted.decode_wait_s,
        memory_bytes=wanted.decode_bytes_max,
    )


def _fetcher(settings: Settings) -> Fetcher | None:
    wanted = settings.media
    if not wanted.fetch:
        return None
    try:
        never = tuple(ip_network(each) for each in wanted.fetch_never)
    except ValueError as error:
        raise CannotStart("settings", f"media.fetch_never: {error}.") from error
    limits = Limits(wanted.fetch_bytes_max, wanted.fetch_s, http=wanted.fetch_http, never=never)
    return Fetcher(limits)

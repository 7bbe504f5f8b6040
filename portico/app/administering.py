"""What changes who may ask: routes of the cold rooms."""

from portico.admin.visitors.joining import Joining
from portico.admin.visitors.leaks import Leaks
from portico.admin.visitors.minting import Minting
from portico.app.identity import Identity
from portico.app.storage import Books
from portico.door.routes import Route
from portico.kit.clock import Clock


def administering(who: Identity, books: Books, clock: Clock) -> list[Route]:
    minting = Minting(who.callers, who.peppers, books.writer.run, books.rates, clock)
    joining = Joining(books.writer, who.peppers, clock)
    return [minting.route(), joining.route(), *Leaks(books.writer, who.peppers, clock).routes()]

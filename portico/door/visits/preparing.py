"""Requests that only prepare what others follow."""

from portico.callers.model import Caller
from portico.canon.delta import Delta, Finished
from portico.canon.prompt import Prompt
from portico.door.visits.carrier import Carrier
from portico.door.visits.generation import Generation, Handed, Visit


class Preparing(Generation):
    """One that also answers with nothing."""

    async def prepare(self, exchange: Carrier) -> None:
        """Read a request, find it right, and answer that it can be followed.  Nothing runs, so nothing
        is charged.  Raises: Refusal; Left."""
        visit = Visit(exchange, self._terms, "")
        try:
            caller = await self._rooms.callers.verify(visit.credential, visit.scope, visit.address)
            prompt = await _read(visit, caller)
            self._rooms.routing.choose(prompt, caller.data_use, caller.models)
            final = Delta(events=(Finished("stop"),), last=True, finish="stop")
            visit.compose(final)
            if visit.keeper is not None:
                visit.keeper.end("completed")
            await visit.send(final)
        finally:
            visit.let_go()


async def _read(visit: Visit, caller: Caller) -> Prompt:
    """However many rounds an answer would take.  Raises: Refusal; Left."""
    try:
        return await visit.read(caller)
    except Handed as handed:
        return handed.prompt

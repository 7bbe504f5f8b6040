"""The app on a port, and its events on their way to whoever registered for them."""

import asyncio
import logging
import socket
from collections.abc import Callable

import aiohttp
import uvicorn

from portico.billing.fake_stripe.app import FakeStripe
from portico.billing.fake_stripe.courier import Letter
from portico.kit.backoff import exponential_s
from portico.kit.tasks import Tasks

_LOOKS_EVERY_S = 0.05
_TRIES = 8
log = logging.getLogger(__name__)


async def serve(fake: FakeStripe, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Until SIGINT or SIGTERM."""
    config = uvicorn.Config(fake, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    tasks = Tasks(lambda failure: log.error("events are sent no more", exc_info=failure))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        tasks.start(_deliver(fake, session, tasks))
        on_ready()
        try:
            await server.serve(sockets=[listening])
        finally:
            await tasks.close()


async def _deliver(fake: FakeStripe, session: aiohttp.ClientSession, tasks: Tasks) -> None:
    while True:
        await asyncio.sleep(fake.courier.switches.delay_s or _LOOKS_EVERY_S)
        if not fake.endpoints:
            continue
        for letter in fake.courier.letters():
            for url in fake.endpoints:
                tasks.start(_bring(session, url, letter))


async def _bring(session: aiohttp.ClientSession, url: str, letter: Letter) -> None:
    """Again and again, as Stripe does for days; here for minutes."""
    for failures in range(1, _TRIES + 1):
        problem = await _refused(session, url, letter)
        if not problem:
            return
        log.warning("%s: %s %s", letter.event_id, url, problem)
        await asyncio.sleep(exponential_s(failures, 1.0, 60.0))


async def _refused(session: aiohttp.ClientSession, url: str, letter: Letter) -> str:
    """Why a letter was not taken, "" where it was."""
    headers = {"Stripe-Signature": letter.signature, "Content-Type": "application/json"}
    try:
        async with session.post(url, data=letter.body, headers=headers) as answer:
            return "" if answer.status < 300 else f"answered {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error) or "no answer in time"

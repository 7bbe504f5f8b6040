"""An installation to be maltreated: one database, an organisation that pays in advance, and
`portico serve` in processes of their own, which may be killed."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.faults.client import Line
from bench.faults.place import Address
from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.service import open_accounts
from portico.billing import credits
from portico.db.database import open_database
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock
from portico.ledger.owners import DEAD_AFTER_MS
from portico.metering.sweeper import sweep
from portico.pricing.model import PriceWish, TermsWish
from portico.pricing.service import set_prices, set_terms

MODEL = "sim-lorem"
# Neither is a whole number of nano-USD a token: every charge has been rounded.
INPUT_NANO, OUTPUT_NANO = 1_234_567_890, 9_876_543_210
"""Per million tokens."""
MILLION = 1_000_000
COMMAND = (sys.executable, "-m", "portico.cli.main")
"""What is started: Python from the beginning.  Tests start what has been loaded already."""
_START_S_MAX = 60
_STOP_S_MAX = 60


def price_of(input_tokens: int, output_tokens: int) -> int:
    """Nano-USD, from exact fractions, each line rounded half to even once."""
    return round(Fraction(input_tokens * INPUT_NANO, MILLION)) + round(
        Fraction(output_tokens * OUTPUT_NANO, MILLION)
    )


class Books:
    """The database from outside, beside whatever serves it.  Blocking."""

    def __init__(self, address: Address) -> None:
        """Of an empty database: sets up an organisation, its key, its terms and its prices.  Of one
        that has been through a drill: makes another key."""
        self.address = address
        self._clock = SystemClock()
        self._database = open_database(address.folder, address.url)
        wish = KeyWish("Drill", concurrency_max=4_096)
        peppers, issued = open_accounts(self._database, address.folder, self._clock, wish)
        again = issued is None
        if issued is None:
            issued = self._database.write(
                lambda c: create_key(operator(c, self._clock), peppers, wish)
            )
        self.key = issued.secret
        self.organisation = str(self.one("SELECT id FROM organisation"))
        if not again:
            self._agree()
        self._grants = int(self.one("SELECT count(*) FROM txn WHERE id LIKE 'credit:%'"))
        self.before = {row[0] for row in self.rows("SELECT id FROM hold")}
        """Requests that are none of this drill's."""

    def _agree(self) -> None:
        prepaid = TermsWish(organisation_id=self.organisation, kind="prepaid")
        self._database.write(lambda c: set_terms(c, prepaid, "drill", self._clock))
        prices = [
            PriceWish(model=MODEL, meter=meter, nano_per_million=nano)
            for meter, nano in (("input_text", INPUT_NANO), ("output_text", OUTPUT_NANO))
        ]
        self._database.write(lambda c: set_prices(c, prices, "drill", self._clock))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._database.read(lambda c: Transaction(c).rows(sql))

    def one(self, sql: str) -> Any:
        return self.rows(sql)[0][0]

    def grant(self, nano: int) -> None:
        self._grants += 1
        credit = credits.Credit(
            f"drill{self._grants}", self.organisation, nano, "paid", None, "drill"
        )
        now_ms = self._clock.wall_ms()
        if not self._database.write(lambda c: credits.grant(Transaction(c), credit, now_ms)):
            raise RuntimeError(f"{credit.id} was there already.")

    @property
    def granted_nano(self) -> int:
        return int(
            self.one(
                "SELECT coalesce(sum(amount_nano), 0) FROM entry JOIN account ON account.id = "
                "account_id WHERE kind = 'prepaid' AND amount_nano > 0"
            )
        )

    @property
    def balance_nano(self) -> int:
        return int(
            self.one("SELECT coalesce(sum(posted_nano), 0) FROM account WHERE kind = 'prepaid'")
        )

    def sweep(self) -> None:
        """As a server would that looks a minute after the last sign of life of every other one."""
        now_ms = self._clock.wall_ms() + DEAD_AFTER_MS + 1
        while self._database.write(lambda c: sweep(Transaction(c), now_ms)):
            pass

    @property
    def intact(self) -> bool:
        """What SQLite says of its file; PostgreSQL has nothing to ask."""
        if self.address.kind == "postgresql":
            return True
        return bool(self.one("PRAGMA integrity_check") == "ok")


@dataclass
class Server:
    """One `portico serve`."""

    number: int
    process: asyncio.subprocess.Process
    port: int = 0

    async def ready(self) -> bool:
        """Waits for its banner; False when it ended before."""
        out = self.process.stdout
        assert out is not None
        async with asyncio.timeout(_START_S_MAX):
            line = await out.readline()
        if line:
            self.port = int(json.loads(line)["base_url"].rsplit(":", 1)[1].split("/")[0])
        return bool(line)

    async def kill(self) -> int:
        """SIGKILL, and the exit code: another one than -9 had come before."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        return await self.process.wait()

    async def line(self) -> Line:
        return await Line.to("127.0.0.1", self.port)

    async def metrics(self) -> dict[str, float]:
        """Sums over all labels, by name."""
        line = await self.line()
        await line.send(b"GET /metrics HTTP/1.1\r\nHost: drill\r\n\r\n")
        page = (await line.body(await line.head())).decode()
        line.hang_up()
        found: dict[str, float] = {}
        for row in page.splitlines():
            if row and not row.startswith("#"):
                name, _, value = row.rpartition(" ")
                name = name.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found


@dataclass
class Site:
    """settings: environment of every server, such as PORTICO_PRICING_WINDOW_TOKENS."""

    books: Books
    settings: dict[str, str] = field(default_factory=dict)
    servers: dict[int, Server] = field(default_factory=dict)

    async def start(self, number: int) -> Server:
        """Spawned, not ready yet.  The same number again is the same data directory again."""
        folder = self._folder(number)
        with (folder / "stderr.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(*COMMAND, "serve", "--simulated", "--json"),
                *("--port", "0", "--data-dir", str(folder)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self.environment,
            )
        server = self.servers[number] = Server(number, process)
        return server

    async def begin(self, count: int) -> list[Server]:
        """So many, ready."""
        servers = [await self.start(number) for number in range(count)]
        for server in servers:
            if not await server.ready():
                raise RuntimeError(f"A server did not start: {self.said()}")
        return servers

    async def stop(self) -> list[int]:
        """SIGTERM to all that run, and their exit codes."""
        codes = []
        for server in self.servers.values():
            if server.process.returncode is None:
                server.process.terminate()
                async with asyncio.timeout(_STOP_S_MAX):
                    codes.append(await server.process.wait())
        return codes

    async def audit(self) -> dict[str, int]:
        """Violations by invariant, as `portico ledger audit --json` prints them."""
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, "ledger", "audit", "--json"),
            *("--data-dir", str(self.books.address.folder)),
            stdout=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        said, _ = await process.communicate()
        answer = json.loads(said)
        found = {each["id"]: int(each["violations"]) for each in answer["invariants"]}
        if answer["ok"] != (process.returncode == 0) or answer["ok"] != (not any(found.values())):
            raise RuntimeError(f"The audit contradicts itself: {said!r}, {process.returncode}.")
        return found

    def said(self) -> str:
        """The last lines of every server."""
        logs = sorted(self.books.address.folder.glob("**/stderr.log"))
        return "\n".join(path.read_text("utf-8", "replace")[-2_000:] for path in logs)

    @property
    def environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("PORTICO_")}
        url = self.books.address.url
        return (
            own
            | {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_OBSERVE_LOG_LEVEL": "error"}
            | ({"PORTICO_DATABASE_URL": url} if url else {})
            | self.settings
        )

    def _folder(self, number: int) -> Path:
        """The first one's is where the database is; each other one has its own and the pepper."""
        main = self.books.address.folder
        if number == 0:
            return main
        folder = main / f"server{number}"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            shutil.copy2(main / "pepper", folder / "pepper")
        return folder


@contextlib.asynccontextmanager
async def opened(address: Address, **settings: str) -> AsyncIterator[Site]:
    """Whatever still runs at the end is killed."""
    site = Site(await asyncio.to_thread(Books, address), settings)
    try:
        yield site
    finally:
        for server in site.servers.values():
            if server.process.returncode is None:
                await server.kill()

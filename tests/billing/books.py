"""A database with an organisation, a project and a key, and money moving in it."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import insert

from portico.db.database import Database
from portico.db.tables import api_key, organisation, project
from portico.db.transaction import Transaction
from portico.ledger import service as ledger
from portico.ledger.model import Bill, Limit, Settlement, Wish

T = TypeVar("T")
NOW_MS = 1_795_219_200_000  # 2026-11-21T00:00:00Z
DAY_MS = 86_400_000
LINES = (
    '[{"meter":"output_text","units":5,"price_id":"p","nano_per_million":2000000,'
    '"list_nano":10,"net_nano":10}]'
)


class Books:
    def __init__(self, database: Database) -> None:
        self.database = database

        def begin(transaction: Transaction) -> None:
            run = transaction.connection.execute
            run(insert(organisation).values(id="org_1", name="One", created_at_ms=1))
            run(
                insert(project).values(
                    id="proj_1", organisation_id="org_1", name="P", created_at_ms=1
                )
            )
            run(
                insert(api_key).values(
                    id="key_1",
                    organisation_id="org_1",
                    project_id="proj_1",
                    name="k",
                    mode="live",
                    digest=b"d",
                    pepper_id="p",
                    prefix="pk",
                    last4="last",
                    concurrency_max=9,
                    created_at_ms=1,
                )
            )
            ledger.prepare(transaction, 1)

        self.do(begin)

    def do(self, work: Callable[[Transaction], T]) -> T:
        return self.database.write(lambda connection: work(Transaction(connection)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.do(lambda transaction: transaction.rows(sql))

    def posted(self, account_id: str) -> int:
        return int(self.rows(f"SELECT posted_nano FROM account WHERE id = '{account_id}'")[0][0])

    def hold(self, request_id: str, nano: int, *limits: Limit, now_ms: int = NOW_MS) -> Any:
        wish = Wish(request_id, "org_1", nano, limits, "{}", DAY_MS)
        return self.do(lambda t: ledger.hold(t, [wish], now_ms, "inst_1"))[0]

    def charge(self, request_id: str, net_nano: int = 10) -> Any:
        bill = Bill("proj_1", "key_1", "m", "standard", "completed", LINES, "", net_nano, net_nano)
        end = Settlement(request_id, "settled", bill)
        return self.do(lambda t: ledger.settle(t, [end], NOW_MS))[0]

"""An alert arrives at least once, signed, under one id; what does not arrive is tried again, later
and later, and then given up."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from email import message_from_string
from pathlib import Path
from typing import TypeVar

import pytest

from portico.billing.alerts.mail import NO_SERVER, Mails, MailServer
from portico.billing.alerts.model import Alert, Channel, Outcome, Target
from portico.billing.alerts.outbox import Told, tell, told
from portico.billing.alerts.service import Alerts
from portico.billing.alerts.store import LEASE_MS, note, take_due
from portico.billing.alerts.webhook import NO_SECRET, Webhooks
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.webhooks.rules import (
    ATTEMPTS_MAX,
    SecretInvalid,
    secret_bytes,
    secret_of,
    secret_text,
    signature,
    wait_ms,
)
from tests.billing.alerts.inbox import Clock, hook, mailbox
from tests.billing.books import NOW_MS
from tests.kit.listening import listening

T = TypeVar("T")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
pytestmark = pytest.mark.anyio


class Scene:
    """One alert, made now."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock(NOW_MS)

    def tell(self, *targets: Target, organisation_id: str = "", subject: str = "s") -> None:
        alert = Alert("alert.test", subject, organisation_id, "Something is up.", {"n": 1})
        self.database.write(lambda c: tell(Transaction(c), alert, targets, self.clock.now_ms))

    def told(self) -> list[Told]:
        return self.database.read(lambda c: told(Transaction(c), 99))

    def log(self) -> list[tuple[int, str]]:
        return self.database.read(
            lambda c: [
                (row[0], row[1])
                for row in Transaction(c).rows(
                    "SELECT number, outcome FROM attempt ORDER BY delivery_id, number"
                )
            ]
        )

    def alerts(
        self, secret: str = SECRET, *, private: bool = True, timeout_s: float = 5.0, port: int = 0
    ) -> Alerts:
        key = secret_bytes(secret) if secret else None
        webhooks = Webhooks(key, self.clock, private_allowed=private, timeout_s=timeout_s)
        server = MailServer("127.0.0.1" if port else "", port, "portico@example.com", "none")
        senders: dict[Channel, Webhooks | Mails] = {
            "webhook": webhooks,
            "mail": Mails(server, self.clock),
        }
        return Alerts(self.database, self.clock, dict(senders), (), 1.0)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_a_webhook_is_posted_once_and_signed(scene: Scene) -> None:
    async with hook() as there:
        scene.tell(Target("webhook", there.url))
        alerts = scene.alerts()
        assert [await alerts.deliver() for _ in range(3)] == [1, 0, 0]
    (post,) = there.posts
    assert (post.path, post.headers["content-type"]) == ("/alerts?team=1", "application/json")
    assert post.headers["webhook-timestamp"] == str(NOW_MS // 1000)
    assert post.is_signed_with(SECRET)
    body = json.loads(post.body)
    assert body.pop("id").startswith("alert_")
    assert body == {
        "object": "event",
        "created_at": NOW_MS // 1000,
        "type": "alert.test",
        "timestamp": "2026-11-21T00:00:00Z",
        "data": {"says": "Something is up.", "n": 1},
    }
    assert (scene.told()[0].state, scene.log()) == ("delivered", [(1, "answered 204")])
    assert scene.told()[0].delivery_id == post.headers["webhook-id"]


async def test_an_organisation_gets_its_own_secret(scene: Scene) -> None:
    async with hook() as there:
        scene.tell(Target("webhook", there.url), organisation_id="org_1")
        await scene.alerts().deliver()
    own = secret_text(secret_of(secret_bytes(SECRET), "org_1"))
    other = secret_text(secret_of(secret_bytes(SECRET), "org_2"))
    assert [there.posts[0].is_signed_with(each) for each in (own, other, SECRET)] == [
        True,
        False,
        False,
    ]


async def test_what_concerns_an_organisation_goes_to_the_operator_under_the_operators_secret(
    scene: Scene,
) -> None:
    """Who checks what arrives at his own address has one secret, not one for each customer."""
    async with hook() as there:
        scene.tell(Target("webhook", there.url), organisation_id="org_1")
        webhooks = Webhooks(
            secret_bytes(SECRET), scene.clock, operator_url=there.url, private_allowed=True
        )
        await Alerts(scene.database, scene.clock, {"webhook": webhooks}, (), 1.0).deliver()
    assert there.posts[0].is_signed_with(SECRET)


async def test_it_is_tried_again_later_and_later_under_the_same_id(scene: Scene) -> None:
    async with hook() as there:
        there.answers = [
            b"HTTP/1.1 500 No\r\n\r\n",
            b"SMTP? no\r\n",
            b"",
            b"HTTP/1.1 302 Elsewhere\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
        ]
        scene.tell(Target("webhook", there.url))
        alerts = scene.alerts()
        for attempts in (1, 2, 3, 4):
            assert await alerts.deliver() == 1
            scene.clock.now_ms += wait_ms(attempts, scene.told()[0].delivery_id) - 1
            assert await alerts.deliver() == 0, "not before it is due"
            scene.clock.now_ms += 1
        assert await alerts.deliver() == 1
    assert len({post.headers["webhook-id"] for post in there.posts}) == 1
    assert len({post.headers["webhook-timestamp"] for post in there.posts}) == 5
    assert [outcome for _, outcome in scene.log()] == [
        "answered 500",
        "not reached: the answer is not HTTP",
        "not reached: the answer is not HTTP",
        "answered 302",
        "answered 200",
    ]
    assert scene.told()[0].state == "delivered"


def test_waits_grow_and_end() -> None:
    waits = [wait_ms(attempts, "msg_1") for attempts in range(1, ATTEMPTS_MAX)]
    assert waits[:10] == sorted(waits[:10])
    assert 10_000 <= waits[0] <= 12_500
    assert 2.5 * 86_400_000 < sum(waits) < 4 * 86_400_000
    assert len({wait_ms(1, f"msg_{n}") for n in range(9)}) == 9, "not all at one moment"


async def test_it_is_given_up_in_the_end(scene: Scene) -> None:
    scene.tell(Target("webhook", "http://127.0.0.1:1/"))
    alerts = scene.alerts()
    tries = 0
    while await alerts.deliver():
        tries += 1
        scene.clock.now_ms += 8 * 3_600_000
    assert (tries, scene.told()[0].state) == (ATTEMPTS_MAX, "given_up")


async def test_an_address_that_is_gone_is_given_up_at_once(scene: Scene) -> None:
    async with hook() as there:
        there.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]
        scene.tell(Target("webhook", there.url))
        await scene.alerts().deliver()
    assert scene.told()[0].state == "given_up"


async def test_an_answer_that_never_comes_is_not_waited_for(scene: Scene) -> None:
    arrived = asyncio.Event()
    hung_up = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        writer.write(b"HTTP/1.1 2")
        await reader.read()
        writer.close()
        hung_up.set()

    async with listening(silence) as port:
        scene.tell(Target("webhook", f"http://127.0.0.1:{port}/"))
        await scene.alerts(timeout_s=0.2).deliver()
        await hung_up.wait()
    assert arrived.is_set()
    assert scene.log() == [(1, "no answer within 0.2 s")]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "the URL must begin with https://"),
        ("https://127.0.0.1:6379/", "only 80 and 443 are connected to"),
        ("https://127.0.0.1/", "not an address on the Internet"),
    ],
)
async def test_an_address_inside_is_not_reached(scene: Scene, url: str, says: str) -> None:
    async with hook() as there:
        scene.tell(Target("webhook", url or there.url))
        await scene.alerts(private=False).deliver()
    assert there.posts == []
    assert says in scene.log()[0][1]


async def test_without_a_secret_nothing_is_sent(scene: Scene) -> None:
    async with hook() as there:
        scene.tell(Target("webhook", there.url))
        await scene.alerts("").deliver()
    assert (there.posts, scene.log()) == ([], [(1, NO_SECRET)])


async def test_two_servers_at_once_deliver_once(scene: Scene) -> None:
    async with hook() as there:
        for number in range(30):
            scene.tell(Target("webhook", there.url), subject=str(number))
        one, other = scene.alerts(), scene.alerts()
        while sum(await asyncio.gather(one.deliver(), other.deliver())):
            continue
    assert (len(there.posts), len({p.headers["webhook-id"] for p in there.posts})) == (30, 30)


@pytest.mark.parametrize(
    "late", [Outcome(False, "no"), Outcome(False, "gone", final=True), Outcome(True, "yes")]
)
def test_a_late_word_about_a_delivery_changes_only_the_log(scene: Scene, late: Outcome) -> None:
    scene.tell(Target("webhook", "https://x.example/"))

    def do(work: Callable[[Transaction], T]) -> T:
        return scene.database.write(lambda c: work(Transaction(c)))

    (slow,) = do(lambda t: take_due(t, NOW_MS))
    assert do(lambda t: take_due(t, NOW_MS + LEASE_MS - 1)) == []
    (fast,) = do(lambda t: take_due(t, NOW_MS + LEASE_MS))
    do(lambda t: note(t, fast, Outcome(True, "yes"), NOW_MS + LEASE_MS))
    before = scene.database.read(lambda c: Transaction(c).rows("SELECT * FROM delivery"))
    do(lambda t: note(t, slow, late, NOW_MS + 2 * LEASE_MS))
    assert scene.database.read(lambda c: Transaction(c).rows("SELECT * FROM delivery")) == before
    assert (slow.number, fast.number, len(scene.log())) == (1, 2, 2)


def test_what_was_delivered_is_not_taken_again(scene: Scene) -> None:
    def do(work: Callable[[Transaction], T]) -> T:
        return scene.database.write(lambda c: work(Transaction(c)))

    scene.tell(Target("webhook", "https://one.example/"), subject="1")
    (one,) = do(lambda t: take_due(t, NOW_MS))
    do(lambda t: note(t, one, Outcome(True, "yes"), NOW_MS))
    scene.tell(Target("webhook", "https://other.example/"), subject="2")
    due = do(lambda t: take_due(t, NOW_MS + 2 * LEASE_MS))
    assert [each.target for each in due] == ["https://other.example/"]


_DIES = """
import asyncio, sys
from pathlib import Path
from tests.billing.alerts.test_delivery import Scene
from portico.db.database import open_database
scene = Scene(open_database(Path(sys.argv[1]), sys.argv[2]))
asyncio.run(scene.alerts(timeout_s=50).deliver())
"""


async def test_one_that_dies_between_delivery_and_mark_is_followed_by_another(
    scene: Scene, database: Database, database_url: str
) -> None:
    async with hook() as there:
        scene.tell(Target("webhook", there.url))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _DIES, str(database.data_dir), database_url,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
        there.on_post = lambda: os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        assert (len(there.posts), scene.log()) == (1, [])
        there.on_post = lambda: None
        alerts = scene.alerts()
        assert await alerts.deliver() == 0, "it may still be under way"
        scene.clock.now_ms += LEASE_MS
        assert await alerts.deliver() == 1
    first, second = there.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert scene.log() == [(2, "answered 204")], "nobody knows what came of the first"
    assert scene.told()[0].state == "delivered"


async def test_a_mail_says_it_in_a_sentence(scene: Scene) -> None:
    async with mailbox() as there:
        scene.tell(Target("mail", "team@example.com"))
        assert await scene.alerts(port=there.port).deliver() == 1
    mail = message_from_string(there.mails[0])
    assert (mail["To"], mail["From"]) == ("team@example.com", "portico@example.com")
    assert mail["Subject"] == "Portico: Something is up."
    assert mail["Message-ID"] == f"<{scene.told()[0].delivery_id}@portico>"
    assert '"n": 1' in str(mail.get_payload())
    assert (scene.told()[0].state, scene.log()) == ("delivered", [(1, "taken by 127.0.0.1")])


async def test_a_mail_that_is_refused_for_now_is_sent_again_as_the_same(scene: Scene) -> None:
    async with mailbox() as there:
        there.refuses = "450 later"
        scene.tell(Target("mail", "team@example.com"))
        alerts = scene.alerts(port=there.port)
        await alerts.deliver()
        assert scene.told()[0].state == "waiting"
        there.refuses = ""
        scene.clock.now_ms += wait_ms(1, scene.told()[0].delivery_id)
        await alerts.deliver()
    assert [outcome for _, outcome in scene.log()] == [
        "refused: 450 b'later'",
        "taken by 127.0.0.1",
    ]


async def test_a_mailbox_that_is_not_there_is_given_up(scene: Scene) -> None:
    async with mailbox() as there:
        there.refuses = "550 nobody here"
        scene.tell(Target("mail", "nobody@example.com"))
        await scene.alerts(port=there.port).deliver()
    assert scene.told()[0].state == "given_up"


async def test_what_no_mail_can_be_made_of_is_given_up_and_holds_up_nobody(scene: Scene) -> None:
    async with mailbox() as there:
        scene.tell(Target("mail", "team@example.com\nBcc: all@example.com"))
        await scene.alerts(port=there.port).deliver()
    assert there.mails == []
    assert scene.told()[0].state == "given_up"


async def test_without_a_mail_server_nothing_is_sent(scene: Scene) -> None:
    scene.tell(Target("mail", "team@example.com"))
    await scene.alerts().deliver()
    assert scene.log() == [(1, NO_SERVER)]


def test_an_alert_for_nobody_is_still_seen(scene: Scene) -> None:
    scene.tell()
    (found,) = scene.told()
    assert (found.kind, found.delivery_id, found.state) == ("alert.test", "", "")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of its reference libraries."""
    made = signature(
        [secret_bytes(SECRET)],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_AAAA", SECRET[6:], SECRET + "!", "whsec_é"]
)
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(SecretInvalid):
        secret_bytes(secret)

"""What happens arrives at endpoints, genuine to the library of Standard Webhooks, at least once,
under one id; what does not behave is left alone and holds up nobody else."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from portico.accounts.webhooks import service
from portico.billing.alerts.model import Delivery, Outcome
from portico.billing.alerts.service import Alerts
from portico.billing.alerts.store import LEASE_MS
from portico.billing.alerts.webhook import NO_ENDPOINT, Webhooks
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal
from portico.routing.keys import seal_of
from portico.webhooks.endpoints import FAILING, GONE, destination
from portico.webhooks.model import Destination, EndpointChange, EndpointWish, Sent, Target
from portico.webhooks.rules import ATTEMPTS_MAX
from tests.accounts.tenancy import Tenancy, mailed, noted
from tests.billing.alerts.inbox import Clock, Post, hook
from tests.kit.listening import listening

DAY_MS = 86_400_000
pytestmark = pytest.mark.anyio


def sender(
    database: Database,
    clock: Clock,
    seal: Seal,
    timeout_s: float = 5.0,
    every_s: float = 0.02,
    operator: tuple[Target, ...] = (),
) -> Alerts:
    async def find(delivery: Delivery) -> Destination | None:
        def look(connection: Connection) -> Destination | None:
            transaction = Transaction(connection)
            return destination(
                transaction, seal, delivery.organisation_id, delivery.target, clock.wall_ms()
            )

        return await asyncio.to_thread(database.read, look)

    webhooks = Webhooks(None, clock, find=find, private_allowed=True, timeout_s=timeout_s)
    return Alerts(database, clock, {"webhook": webhooks, "mail": Mailbox()}, operator, every_s)


class Mailbox:
    """Takes every mail."""

    async def send(self, delivery: Delivery) -> Outcome:
        return Outcome(True, "taken")


class Scene:
    """Endpoints of one organisation, and a server that brings what they are told."""

    def __init__(self, tenancy: Tenancy) -> None:
        self.tenancy = tenancy
        tenancy.clock.now_ms = SystemClock().wall_ms()
        self.clock = Clock(tenancy.clock.now_ms)
        self.seal = seal_of(tenancy.peppers)
        self.alerts = sender(tenancy.database, self.clock, self.seal)

    def made(self, url: str) -> tuple[str, str]:
        """Id and secret."""
        wish = EndpointWish(self.tenancy.organisation_id, url)
        issued = self.tenancy.do(
            lambda e: service.create_endpoint(e, self.seal, wish, private_allowed=True)
        )
        return issued.endpoint.id, issued.secret

    def test(self, endpoint_id: str) -> Sent:
        return self.tenancy.do(lambda e: service.send_test(e, endpoint_id))

    def sent(self, endpoint_id: str) -> list[Sent]:
        return self.tenancy.do(lambda e: service.list_sent(e, endpoint_id))

    def rotated(self, endpoint_id: str, overlap_ms: int) -> str:
        return self.tenancy.do(
            lambda e: service.rotate_secret(e, self.seal, endpoint_id, overlap_ms)
        ).secret

    def disabled(self, endpoint_id: str) -> str | None:
        return self.tenancy.do(lambda e: service.endpoint_of(e, endpoint_id)).disabled_reason

    def pass_ms(self, duration_ms: int) -> None:
        self.clock.now_ms += duration_ms
        self.tenancy.clock.now_ms += duration_ms


@pytest.fixture
def scene(tenancy_on_both: Tenancy) -> Scene:
    return Scene(tenancy_on_both)


def genuine(post: Post, secret: str) -> bool:
    """By the library, as its reader would; for a time that is not now, by what it would sign."""
    at = datetime.fromtimestamp(int(post.headers["webhook-timestamp"]), UTC)
    if abs(at.timestamp() - SystemClock().wall_ms() / 1000) > 60:
        signed = Webhook(secret).sign(post.headers["webhook-id"], at, post.body.decode())
        return signed in post.headers["webhook-signature"].split(" ")
    try:
        Webhook(secret).verify(post.body, post.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_an_event_arrives_and_the_library_says_it_is_genuine(scene: Scene) -> None:
    async with hook() as there:
        id, secret = scene.made(there.url)
        _, other_secret = scene.made(there.url)
        waiting = scene.test(id)
        assert await scene.alerts.deliver() == 1
    (post,) = there.posts
    assert genuine(post, secret)
    assert not genuine(post, other_secret)
    assert not genuine(Post(post.path, post.headers, post.body + b" "), secret)
    assert post.headers["webhook-id"] == waiting.id
    (sent,) = scene.sent(id)
    assert (sent.state, sent.attempts, sent.last) == ("delivered", 1, "answered 204")


async def test_two_secrets_sign_while_one_replaces_the_other(scene: Scene) -> None:
    async with hook() as there:
        id, old = scene.made(there.url)
        new = scene.rotated(id, DAY_MS)
        scene.test(id)
        await scene.alerts.deliver()
        scene.pass_ms(DAY_MS)
        scene.test(id)
        await scene.alerts.deliver()
        at_once = scene.rotated(id, 0)
        scene.test(id)
        await scene.alerts.deliver()
    found = [[genuine(post, each) for each in (old, new, at_once)] for post in there.posts]
    assert found == [[True, True, False], [False, True, False], [False, False, True]]


async def test_a_replay_is_the_same_event_under_the_same_id(scene: Scene) -> None:
    async with hook() as there:
        id, secret = scene.made(there.url)
        delivery_id = scene.test(id).id
        await scene.alerts.deliver()
        there.answers = [b"HTTP/1.1 503 Later\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"]
        again = scene.tenancy.do(lambda e: service.replay(e, delivery_id))
        assert (again.id, again.state) == (delivery_id, "waiting")
        assert await scene.alerts.deliver() == 1
        scene.pass_ms(15_000)
        assert await scene.alerts.deliver() == 1, "a round of tries begins anew"
    assert [post.headers["webhook-id"] for post in there.posts] == [delivery_id] * 3
    assert len({post.body for post in there.posts}) == 1
    assert all(genuine(post, secret) for post in there.posts)
    sent, attempts = scene.tenancy.do(lambda e: service.attempts_of(e, delivery_id))
    assert (sent.state, sent.attempts) == ("delivered", 3)
    assert [each.outcome for each in attempts] == ["answered 204", "answered 503", "answered 204"]


async def test_what_was_given_up_has_a_whole_round_again(scene: Scene) -> None:
    id, _ = scene.made("http://127.0.0.1:1/")
    delivery_id = scene.test(id).id
    while await scene.alerts.deliver():
        scene.pass_ms(8 * 3_600_000)
    assert (scene.sent(id)[0].state, scene.sent(id)[0].attempts) == ("given_up", ATTEMPTS_MAX)
    wake = EndpointChange(disabled=False)
    scene.tenancy.do(lambda e: service.change_endpoint(e, id, wake, private_allowed=True))
    scene.tenancy.do(lambda e: service.replay(e, delivery_id))
    tries = 0
    while await scene.alerts.deliver():
        tries += 1
        scene.pass_ms(8 * 3_600_000)
    assert tries == ATTEMPTS_MAX


async def test_an_endpoint_that_is_gone_is_disabled(scene: Scene) -> None:
    async with hook() as there, hook() as friend:
        there.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]
        id, _ = scene.made(there.url)
        first, second = scene.test(id), scene.test(id)
        other_id, _ = scene.made(friend.url)
        await scene.alerts.deliver()
        await scene.alerts.deliver()
    assert scene.disabled(id) == GONE
    assert {each.state for each in scene.sent(id)} == {"given_up"}
    assert {first.id, second.id} == {each.id for each in scene.sent(id)}
    assert scene.tenancy.actions()[-1] == "webhook.disable"
    assert [each.kind for each in scene.sent(other_id)] == ["webhook.disabled"]
    assert b"webhook.disabled" in friend.posts[0].body


@pytest.mark.parametrize("contact", ["", "accounts@customer.example"])
async def test_whoever_a_disabled_one_belongs_to_is_told_by_mail(
    scene: Scene, contact: str
) -> None:
    """The operator only where nobody noted an address: it is the customer's program that is deaf."""
    operator = (Target("mail", "operator@example.org"),)
    scene.alerts = sender(scene.tenancy.database, scene.clock, scene.seal, operator=operator)
    if contact:
        noted(scene.tenancy, contact)
    async with hook() as there:
        there.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]
        id, _ = scene.made(there.url)
        scene.test(id)
        await scene.alerts.deliver()
    assert mailed(scene.tenancy) == [(contact or "operator@example.org", "webhook.disabled")]
    await scene.alerts.deliver()
    states = scene.tenancy.rows("SELECT state FROM delivery WHERE channel = 'mail'")
    assert states == ["delivered"]


async def test_one_that_fails_for_days_is_disabled_and_one_that_took_something_is_not(
    scene: Scene,
) -> None:
    scene.alerts = sender(scene.tenancy.database, scene.clock, scene.seal)
    async with hook() as there:
        id, _ = scene.made(there.url)
        failing, good = b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"
        there.answers = [failing]
        for recovers in (True, False):
            scene.test(id)
            for number in range(ATTEMPTS_MAX):
                assert await scene.alerts.deliver() == 1
                if recovers and number == ATTEMPTS_MAX - 2:
                    there.answers = [good]
                    scene.test(id)
                    await scene.alerts.deliver()
                    there.answers = [failing]
                scene.pass_ms(8 * 3_600_000)
            assert scene.disabled(id) == (None if recovers else FAILING)
    assert scene.tenancy.actions()[-1] == "webhook.disable"


async def test_a_deleted_endpoint_gets_nothing_more(scene: Scene) -> None:
    async with hook() as there:
        id, _ = scene.made(there.url)
        scene.test(id)
        scene.tenancy.do(lambda e: service.delete_endpoint(e, id))
        await scene.alerts.deliver()
    assert there.posts == []
    assert scene.tenancy.rows("SELECT outcome FROM attempt") == [NO_ENDPOINT]


async def test_a_redirect_is_not_followed(scene: Scene) -> None:
    async with hook() as inside, hook() as there:
        there.answers = [f"HTTP/1.1 307 No\r\nlocation: {inside.url}\r\n\r\n".encode()]
        id, _ = scene.made(there.url)
        scene.test(id)
        await scene.alerts.deliver()
    assert (inside.posts, scene.sent(id)[0].last) == ([], "answered 307")


@pytest.mark.parametrize(
    ("asked", "least_ms", "most_ms"),
    [
        ("3600", 3_600_000, 3_600_000),
        ("1", 10_000, 12_500),
        ("999999", DAY_MS, DAY_MS),
        ("9" * 99, 10_000, 12_500),
        ("-1", 10_000, 12_500),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 10_000, 12_500),
    ],
)
async def test_the_other_side_says_when_to_come_back(
    scene: Scene, asked: str, least_ms: int, most_ms: int
) -> None:
    async with hook() as there:
        there.answers = [f"HTTP/1.1 429 Slow\r\nRetry-After: {asked}\r\n\r\n".encode()]
        id, _ = scene.made(there.url)
        scene.test(id)
        await scene.alerts.deliver()
    assert least_ms <= scene.sent(id)[0].due_at_ms - scene.clock.now_ms <= most_ms


async def test_of_what_is_answered_little_is_kept(scene: Scene) -> None:
    said = b"<h1>\x1b[31mno\r\n" + b"x" * 4_000_000
    head = b"HTTP/1.1 500 No\r\ncontent-length: %d\r\n\r\n" % len(said)
    async with hook() as there:
        there.answers = [head + said]
        id, _ = scene.made(there.url)
        scene.test(id)
        await scene.alerts.deliver()
    last = scene.sent(id)[0].last
    assert last.startswith("answered 500: <h1> [31mno  xxx")
    assert len(last) == len("answered 500: ") + 200


async def test_an_endless_head_is_read_no_further(scene: Scene) -> None:
    async with hook() as there:
        there.answers = [b"HTTP/1.1 500 No\r\n" + b"a: b\r\n" * 1_000_000]
        id, _ = scene.made(there.url)
        scene.test(id)
        await scene.alerts.deliver()
    assert scene.sent(id)[0].state == "waiting"


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, list[int]]]:
    """Takes requests and never answers.  Gives its URL and how many are there: now, and at most."""
    count = [0, 0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count[0] += 1
        count[1] = max(count)
        await reader.read(-1)
        count[0] -= 1
        writer.close()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}/", count


async def test_one_that_hangs_holds_up_nobody_else(scene: Scene) -> None:
    """Five that never answer, each with a long queue that came first."""
    scene.alerts = sender(scene.tenancy.database, scene.clock, scene.seal, timeout_s=50.0)
    arrived = asyncio.Event()
    async with silent() as (url, count), hook() as there:
        there.on_post = arrived.set
        for _ in range(5):
            id, _ = scene.made(url)
            for _ in range(9):
                scene.test(id)
        good, _ = scene.made(there.url)
        running = asyncio.create_task(scene.alerts.run())
        try:
            scene.test(good)
            await asyncio.wait_for(arrived.wait(), 30)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert count[1] <= 5 * 4, "few at once to each"


@pytest.mark.parametrize("second", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
async def test_a_name_that_leads_inside_later_is_not_followed(second: str) -> None:
    """What was looked at is what is dialled; and each sending looks anew."""
    looks: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        looks.append(host)
        return [second]

    async def find(delivery: Delivery) -> Destination:
        return Destination("https://rebinds.example/", (b"s" * 32,))

    webhooks = Webhooks(None, SystemClock(), find=find, resolve=resolve)
    outcome = await webhooks.send(Delivery("msg_1", "webhook", "whk_1", 1, "org_1", "{}"))
    assert "is not an address on the Internet" in outcome.says
    assert (outcome.delivered, looks) == (False, ["rebinds.example"])


_DIES = """
import asyncio, sys
from pathlib import Path
from portico.callers.pepper import read_peppers
from portico.db.database import open_database
from portico.routing.keys import seal_of
from tests.accounts.test_webhook_sending import sender
from tests.billing.alerts.inbox import Clock
folder = Path(sys.argv[1])
seal = seal_of(read_peppers(Path(sys.argv[3])))
alerts = sender(open_database(folder, sys.argv[2]), Clock(int(sys.argv[4])), seal, 50.0)
asyncio.run(alerts.deliver())
"""


async def test_killed_between_sending_and_noting_it_is_sent_again_as_the_same(
    scene: Scene, database: Database, database_url: str, tmp_path: Path
) -> None:
    async with hook() as there:
        id, secret = scene.made(there.url)
        scene.test(id)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _DIES, str(database.data_dir), database_url, str(tmp_path),
            str(scene.clock.now_ms), cwd=Path(__file__).parents[2],
        )  # fmt: skip
        there.on_post = lambda: os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        assert (len(there.posts), scene.sent(id)[0].state) == (1, "waiting")
        there.on_post = lambda: None
        scene.pass_ms(LEASE_MS)
        assert await scene.alerts.deliver() == 1
    first, second = there.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert genuine(first, secret)
    assert genuine(second, secret)
    assert scene.sent(id)[0].state == "delivered"
